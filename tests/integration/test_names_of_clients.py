"""Client Identifiers and User Names, bound to real identities: of certificates, passwords and tokens, by a real client."""

from collections.abc import Iterator

import pytest
from joserfc.jwk import OctKey

from bartizan.testing import Broker, Bundle
from tests.integration.token_client import TokenClient
from tests.unit.authn.issuer import claims, signed

SECRET = b"a secret of thirty-two octets or more"
KEY = OctKey.import_key(SECRET)
ISSUER = "https://issuer.example"
NOT_AUTHORIZED = 0x87
POLICY = """\
[roles.press]

[roles.shown]
client_id = "certificate"
user_name = "certificate"

[roles.line]
user_name = "{attr.line}-*"
"""


def reason(
    broker: Broker,
    client_id: str,
    user_name: str | None = None,
    password: str | None = None,
    bundle: Bundle | None = None,
) -> int:
    """The Reason Code with which a real client is answered; with a `bundle`, by its certificate."""
    client = TokenClient(broker.port, broker.ca_file, client_id)
    if bundle is not None:
        client.certificate(str(bundle.certificate_file), str(bundle.key_file))
    client.username_pw_set(user_name, password)
    try:
        return client.open()
    finally:
        client.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    secret = tmp_path_factory.mktemp("issuer") / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    common = f'kind = "jwt", issuer = "{ISSUER}", algorithms = ["HS256"], secret_file = "{secret}"'
    settings = [
        'listeners.mqtt.authentication=["certificate", "password", "tokens", "free"]',
        f'authenticators.tokens={{ {common}, audience = ["plant"] }}',
        f'authenticators.free={{ {common}, audience = ["free"], user_name = "free" }}',
    ]
    with Broker(policy=POLICY, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def bundles(broker: Broker) -> dict[str, Bundle]:
    return {
        "press-01": broker.enrol("press-01", "press"),
        "press-02": broker.enrol("press-02", "shown"),
        "press-03": broker.enrol("press-03", "line", line="line-7"),
        "panel-01": broker.enrol("panel-01", "line", password=True, line="panel"),
    }


def token(subject: str, audience: str = "plant") -> str:
    return signed(KEY, "HS256", claims(iss=ISSUER, sub=subject, aud=audience)).decode()


@pytest.mark.parametrize(
    ("identity", "client_id", "user_name", "is_allowed"),
    [
        ("press-01", "press-01", None, True),
        ("press-01", "press-01-debug", "press-01-debug", True),
        ("press-01", "press-01", "press-02", False),
        ("press-01", "urn:bartizan:identity:press-01", None, False),
        # Its CN and its SAN, and nothing that only begins like them.
        ("press-02", "press-02", "press-02", True),
        ("press-02", "urn:bartizan:identity:press-02", "urn:bartizan:identity:press-02", True),
        ("press-02", "press-02-debug", None, False),
        ("press-02", "press-02", "press-02-debug", False),
        ("press-03", "press-03", "line-7-left", True),
        ("press-03", "press-03", "press-03", False),
    ],
)
def test_names_beside_a_certificate_are_those_that_its_roles_admit(
    broker, bundles, identity, client_id, user_name, is_allowed
):
    answer = reason(broker, client_id, user_name, bundle=bundles[identity])
    assert (answer == 0) is is_allowed, hex(answer)


@pytest.mark.parametrize(
    ("subject", "user_name", "is_allowed"),
    [
        ("press-01", "press-01", True),
        ("press-01", "press-01-debug", True),
        ("press-01", "press-02", False),
        ("press-01", "token", False),
        ("press-03", "line-7-left", True),
        ("press-03", "press-03", False),
    ],
)
def test_a_user_name_beside_a_token_is_one_that_its_roles_admit(broker, bundles, subject, user_name, is_allowed):
    answer = reason(broker, subject, user_name, token(subject))
    assert answer == (0 if is_allowed else NOT_AUTHORIZED), hex(answer)


def test_beside_a_token_any_user_name_is_taken_where_that_is_said(broker, bundles):
    assert reason(broker, "press-01", "token", token("press-01", "free")) == 0


def test_a_password_proves_nothing_under_a_name_that_its_roles_do_not_admit(broker, bundles):
    # The role says what its identities are called, and the name of the identity is not among it.
    bundle = bundles["panel-01"]
    assert reason(broker, "panel-01", "panel-01", bundle.password) == 0
    other = broker.enrol("other-01", "line", password=True, line="panel")
    assert reason(broker, "other-01", "other-01", other.password) == NOT_AUTHORIZED
