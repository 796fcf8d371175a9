"""Client Identifiers and User Names: what roles admit, and never what is another identity's."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.authn import Called, Certificate, CertificateAuthenticator, ConnectRequest, Denied, Proof
from bartizan.authn.binding import bind_client_id, check_user_name
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import IdentityName, RoleName
from bartizan.model.principal import Identity, Principal
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Create

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, tzinfo=UTC)
CERTIFICATE = Certificate("f" * 64, "01", common_name="press-01", san_dns=("press-01.plant",))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Says:
    """What a policy would."""

    def __init__(self, *client_ids: str, user_names: tuple[str, ...] = ("identity",)) -> None:
        self._client_ids = client_ids
        self._user_names = user_names

    def client_ids(self, _roles: Iterable[str], /) -> tuple[str, ...]:
        return self._client_ids

    def user_names(self, _roles: Iterable[str], /) -> tuple[str, ...]:
        return self._user_names

    def credential_days_max(self, _roles: Iterable[str], /) -> Mapping[str, int]:
        return {}


async def store_of(*names: str) -> MemoryIdentityStore:
    store = MemoryIdentityStore()
    held = CertificateCredential("c", CERTIFICATE.fingerprint_sha256, "01", AT, AT + timedelta(days=9))
    for name in names:
        await store.commit([Create(Identity(IdentityName(name), AT, (RoleName("press"),), credentials=(held,)))])
    return store


async def bound(
    client_id: str, says: Says, *others: str, method: str = "certificate", again: bool = False
) -> str | None:
    principal = Principal("press-01", (RoleName("press"),), method=method)
    request = ConnectRequest(client_id, "mqtts", "127.0.0.1", certificate=CERTIFICATE, again=again)
    return await bind_client_id(Proof(principal), request, await store_of("press-01", *others), says)


async def refused(client_id: str, says: Says, *others: str, method: str = "certificate") -> ReasonCode:
    with pytest.raises(Denied) as told:
        await bound(client_id, says, *others, method=method)
    return told.value.reason


async def test_a_role_widens_and_narrows_what_may_be_used():
    assert await bound("line-7", Says("line-*")) is None
    assert await bound("press-01-x", Says("identity", "line-*")) is None
    assert await refused("press-01", Says("line-*")) is ReasonCode.NOT_AUTHORIZED
    assert await bound("press-01.plant", Says("certificate")) is None
    assert await refused("press-02.plant", Says("certificate")) is ReasonCode.NOT_AUTHORIZED


async def test_a_certificate_counts_only_where_it_proved_who_it_is():
    assert await refused("press-01.plant", Says("certificate"), method="password") is ReasonCode.NOT_AUTHORIZED
    assert await bound("press-01.plant", Says("certificate"), method="password+certificate") is None


async def test_what_the_broker_assigns_nobody_chooses():
    assert await bound("", Says("assigned")) == "press-01-"
    assert await refused("press-01", Says("assigned")) is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    assert await bound("press-01-4f2a", Says("assigned"), again=True) is None


@pytest.mark.parametrize("other", ["line-7", "line"])
async def test_no_pattern_reaches_into_the_namespace_of_another_identity(other):
    assert await refused("line-7", Says("line-*"), other) is ReasonCode.NOT_AUTHORIZED
    assert await bound("press-01-x", Says("identity"), "press") is None
    assert await refused("press-01-x", Says("identity"), "press-01-x") is ReasonCode.NOT_AUTHORIZED


@pytest.mark.parametrize("client_id", ["line-\u202ex", "line-a/b", "line-#"])
async def test_a_pattern_admits_nothing_that_is_no_topic_level(client_id):
    assert await refused(client_id, Says("line-*")) is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


@pytest.mark.parametrize(
    ("namings", "user_name", "proved"),
    [
        (("identity",), "press-01", True),
        (("identity",), "press-02", False),
        (("certificate",), "press-01.plant", True),
        (("certificate",), "press-02.plant", False),
        (("line-*",), "line-7", True),
        (("line-*",), None, True),
    ],
)
async def test_a_user_name_beside_a_certificate_is_one_that_its_roles_admit(namings, user_name, proved):
    authenticator = CertificateAuthenticator(await store_of("press-01"), names=Says(user_names=namings))
    request = ConnectRequest("press-01", "mqtts", "127.0.0.1", user_name=user_name, certificate=CERTIFICATE)
    assert (await authenticator.authenticate(request) is not None) is proved


def may_be_called(user_name: str | None, says: Says, called: Called = Called.IDENTITY, **more: Any) -> bool:
    principal = Principal("press-01", (RoleName("press"),), method="token")
    request = ConnectRequest("press-01", "mqtts", "127.0.0.1", user_name=user_name)
    try:
        check_user_name(Proof(principal, user_name=called, **more), request, says)
    except Denied as denied:
        return denied.reason is not ReasonCode.NOT_AUTHORIZED
    return True


@pytest.mark.parametrize(
    ("called", "namings", "admitted"),
    [
        (Called.IDENTITY, ("identity",), {None, "press-01", "press-01-x"}),
        (Called.IDENTITY, ("line-*",), {None, "line-7"}),
        (Called.ACCOUNT, ("identity",), {None, "press-01", "press-01-x", "line-7", "other"}),
        (Called.ACCOUNT, ("line-*",), {None, "line-7"}),
        (Called.ANYTHING, ("line-*",), {None, "press-01", "press-01-x", "line-7", "other"}),
    ],
)
def test_a_user_name_is_one_that_roles_admit_whatever_proved_the_identity(called, namings, admitted):
    names = (None, "press-01", "press-01-x", "line-7", "other")
    assert {name for name in names if may_be_called(name, Says(user_names=namings), called)} == admitted


def test_who_has_no_name_has_no_user_name_of_its_own_either():
    assert may_be_called("other", Says(user_names=("identity",)), may_use_any_client_id=True)
