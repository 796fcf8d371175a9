"""Tokens of a real OpenID Provider, presented by a real client; the connection ends when they do."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bartizan.testing import Broker
from tests.integration.oidc import OpenIdProvider
from tests.integration.token_client import TokenClient

VERSIONS = ["3.1.1", "5"]
JWT, OPAQUE = "OAUTH2-JWT", "OAUTH2-INTROSPECTION"
NOT_AUTHORIZED, UNAVAILABLE, EXPIRED = 0x87, 0x88, 0xA0
LIFETIME_S = 7


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    with OpenIdProvider(
        tmp_path_factory.mktemp("provider"), LIFETIME_S, ("press-01", "press-02", "stranger")
    ) as running:
        yield running


@contextmanager
def plant(provider: OpenIdProvider, *authentication: str, trusted: bool = True) -> Iterator[Broker]:
    listed = ", ".join(f'"{entry}"' for entry in authentication)
    common = 'audience = ["bartizan"], leeway_s = 0' + (f', ca_file = "{provider.ca_file}"' if trusted else "")
    settings = [f"listeners.mqtt.authentication=[{listed}]"]
    named = {part.strip() for entry in authentication for part in entry.split("+")}
    if "tokens" in named:
        settings.append(
            f'authenticators.tokens={{ kind = "jwt", issuer = "{provider.issuer}", {common}, refetch_s = 1, '
            f'jwks_url = "{provider.issuer}/jwks" }}'
        )
    if "asked" in named:
        settings.append(
            f'authenticators.asked={{ kind = "introspection", client_id = "bartizan", {common}, token_in = "both", '
            f'introspection_url = "{provider.issuer}/token/introspection", identity_claim = "client_id", '
            f'client_secret_file = "{provider.secret_file}" }}'
        )
    with Broker(settings=settings) as broker:
        yield broker


@pytest.fixture
def clients() -> Iterator[Callable[..., TokenClient]]:
    with ExitStack() as stack:

        def make(broker: Broker, client_id: str = "press-01", version: str = "5") -> TokenClient:
            client = TokenClient(broker.port, broker.ca_file, client_id, version)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture(scope="module")
def broker(provider: OpenIdProvider) -> Iterator[Broker]:
    with plant(provider, "certificate", "password", "tokens") as running:
        for name in ("press-01", "press-02"):
            running.enrol(name, "press")
        yield running


@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_as_password_lets_its_subject_in_until_it_ends(provider, broker, clients, version):
    client = clients(broker, version=version)
    token = provider.token("press-01")
    assert client.open(token) == 0
    assert client.is_open_after(LIFETIME_S - 2.5)
    assert client.ended.wait(30)
    # MQTT 3.1.1 has no DISCONNECT from the server: the Network Connection is closed.
    assert client.close_reason == (EXPIRED if version == "5" else None)


def test_an_issuer_whose_certificate_is_not_trusted_is_not_believed(provider, clients):
    with plant(provider, "tokens", trusted=False) as broker:
        broker.enrol("press-01", "press")
        assert clients(broker).open(provider.token("press-01")) == UNAVAILABLE


def test_a_token_by_auth_lets_its_subject_in(provider, broker, clients):
    assert clients(broker).open(provider.token("press-01"), method=JWT) == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_of_somebody_else_opens_nothing(provider, broker, clients, version):
    refused = NOT_AUTHORIZED
    assert clients(broker, "press-02", version).open(provider.token("press-01")) == refused
    assert clients(broker, "stranger", version).open(provider.token("stranger")) == refused


def test_a_fresh_token_by_auth_extends_the_connection(provider, broker, clients):
    client = clients(broker)
    assert client.open(provider.token("press-01"), method=JWT) == 0
    begun = time.time()
    assert client.is_open_after(2)
    client.again(provider.token("press-01"))
    assert client.auth_reasons == [0]
    assert client.is_open_after(begun + LIFETIME_S + 0.5 - time.time())
    assert client.ended.wait(10)
    assert client.close_reason == EXPIRED


def test_a_token_of_somebody_else_does_not_extend_it(provider, broker, clients):
    client = clients(broker)
    assert client.open(provider.token("press-01"), method=JWT) == 0
    client.again(provider.token("press-02"))
    assert client.ended.wait(10)
    assert client.close_reason == NOT_AUTHORIZED


def test_a_new_key_is_picked_up_and_the_old_one_still_counts(provider, clients):
    with plant(provider, "tokens") as broker:
        broker.enrol("press-01", "press")
        old = provider.token("press-01")
        assert clients(broker).open(old) == 0
        provider.rotate()
        time.sleep(1.1)  # `refetch_s`
        assert clients(broker, "press-01-b").open(provider.token("press-01")) == 0
        assert clients(broker, "press-01-c").open(old) == 0


@pytest.mark.parametrize("way", [{}, {"method": OPAQUE}], ids=["password", "auth"])
def test_a_token_that_says_nothing_is_asked_about(provider, clients, way):
    with plant(provider, "asked") as broker:
        broker.enrol("press-01", "press")
        token = provider.token("press-01", "opaque")
        before = provider.seen("/token/introspection")
        client = clients(broker)
        assert client.open(token, **way) == 0
        assert clients(broker, "press-01-b").open(token, **way) == 0
        assert provider.seen("/token/introspection") == before + 1
        assert clients(broker, "press-01-c").open(token[:-1] + "x", **way) == NOT_AUTHORIZED
        assert client.ended.wait(10)
        assert client.close_reason == EXPIRED


@pytest.mark.parametrize("way", [{}, {"method": JWT}], ids=["password", "auth"])
def test_certificate_and_token_are_asked_for_together(provider, clients, way):
    with plant(provider, "certificate + tokens") as broker:
        bundles = {name: broker.enrol(name, "press") for name in ("press-01", "press-02")}

        def opened(certificate_of: str | None, token_of: str | None) -> int:
            client = clients(broker)
            if certificate_of is not None:
                bundle = bundles[certificate_of]
                client.certificate(Path(str(bundle.certificate_file)), Path(str(bundle.key_file)))
            token = None if token_of is None else provider.token(token_of)
            # Beside a certificate, a User Name has to be its identity.
            return client.open(token, user_name=certificate_of or "press-01", **(way if token_of else {}))

        assert opened("press-01", "press-01") == 0
        assert opened("press-01", None) == NOT_AUTHORIZED
        assert opened(None, "press-01") != 0
        assert opened("press-02", "press-01") == NOT_AUTHORIZED
