"""A password that was revoked or replaced ends the connections that it opened, and no others."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.authn import ConnectRequest
from bartizan.broker.directory import LiveDirectory, enabled_json
from bartizan.broker.ended import CLIENTS_PER_LOOK, disconnect_ended
from bartizan.broker.usage import UsageBook
from bartizan.identity.register import Register, new_identity
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.principal import IdentityState, Principal
from bartizan.store.memory import MemoryIdentityStore
from tests.unit.broker.fake import FakeEngine

AT = datetime(2026, 11, 20, tzinfo=UTC)
ENDED = {("dash", False): frozenset({"old"})}


class Crowd(FakeEngine):
    """An engine with clients, who remembers whom it disconnected."""

    def __init__(self, *clients: tuple[str, str, str]) -> None:
        super().__init__()
        self._clients = sorted(clients)
        self.gone: list[str] = []

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def clients(self, after: str, limit: int, *, identity: str | None = None, client_id: str | None = None) -> bytes:
        names = ("client_id", "identity", "method")
        page = [dict(zip(names, client, strict=True)) for client in self._clients if client[0] > after]
        return json.dumps(page[:limit]).encode()

    # pyrefly: ignore[missing-override-decorator]  as above
    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        assert reason == 0x87
        self.gone.append(client_id)
        return True


@pytest.fixture
def usage() -> UsageBook:
    book = UsageBook(MemoryIdentityStore())
    for client_id, credential in (("dash", "old"), ("dash-2", "new"), ("other", "old")):
        request = ConnectRequest(client_id=client_id, listener="mqtts", address="192.0.2.1")
        book.proved(request, Principal(client_id.partition("-")[0], credential_id=credential))
    return book


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(
        ("dash", "dash", "password"),
        ("dash-2", "dash", "password"),
        ("dash-3", "dash", "password"),
        ("dash-4", "dash", "certificate"),
        ("dash-5", "dash", "certificate+password"),
        ("other", "other", "password"),
        *((f"n{at:04}", f"n{at:04}", "password") for at in range(CLIENTS_PER_LOOK)),
    )
    yield crowd
    crowd.close()


def test_who_proved_itself_by_it_is_disconnected_and_who_is_not_known_to_have_another(crowd, usage):
    assert disconnect_ended(crowd, usage, ENDED) == 3
    assert crowd.gone == ["dash", "dash-3", "dash-5"]


def test_who_proved_itself_by_a_certificate_without_fingerprint_is_disconnected_with_it(crowd, usage):
    assert disconnect_ended(crowd, usage, {("dash", True): frozenset({"by-serial"})}) == 2
    assert crowd.gone == ["dash-4", "dash-5"]
    request = ConnectRequest(client_id="dash-4", listener="mqtts", address="192.0.2.1")
    usage.proved(request, Principal("dash", credential_id="another"))
    crowd.gone.clear()
    assert disconnect_ended(crowd, usage, {("dash", True): frozenset({"by-serial"})}) == 1
    assert crowd.gone == ["dash-5"]


def test_where_nothing_ended_nobody_is_looked_at(crowd, usage):
    assert disconnect_ended(crowd, usage, {}) == 0
    assert crowd.gone == []


async def test_what_ended_is_told_once_and_what_ends_by_time_or_is_a_certificate_is_not():
    store = MemoryIdentityStore()
    old, new = (PasswordCredential(id_, "$argon2id$x", AT) for id_ in ("old", "new"))
    certificate = CertificateCredential("c", "ab" * 32, "0f", AT, AT + timedelta(365))
    register = Register(store)
    await register.add(replace(new_identity("dash", at=AT), credentials=(old, new, certificate)))
    directory = LiveDirectory(store)
    await directory.load()
    await register.change("dash", lambda now: replace(now, note="x"))
    await register.change(
        "dash",
        lambda now: replace(now, credentials=(old, replace(new, expires_at=AT), replace(certificate, revoked_at=AT))),
    )
    await directory.refresh()
    assert directory.take_ended() == {}
    await register.revoke_credentials("dash", ["old"], at=AT)
    await directory.refresh()
    assert directory.take_ended() == ENDED
    await register.change("dash", lambda now: replace(now, credentials=()))
    await directory.refresh()
    assert directory.take_ended() == {("dash", False): {"new"}}
    assert directory.take_ended() == {}


async def test_of_a_revoked_identity_nobody_is_looked_for_since_the_engine_ends_all_that_it_has():
    store = MemoryIdentityStore()
    register = Register(store)
    old = PasswordCredential("old", "$argon2id$x", AT)
    await register.add(replace(new_identity("dash", at=AT), credentials=(old,)))
    directory = LiveDirectory(store)
    await directory.load()
    directory.take_touched()
    gone = replace(old, revoked_at=AT)
    await register.change("dash", lambda now: replace(now, state=IdentityState.REVOKED, credentials=(gone,)))
    await directory.refresh()
    assert directory.take_ended() == {}
    assert "dash" in directory.take_touched().endings


async def test_the_end_of_a_certificate_that_only_its_serial_number_names_is_told():
    store = MemoryIdentityStore()
    register = Register(store)
    by_serial = CertificateCredential("by-serial", "", "0f", AT, None, issuer="CN=plant CA")
    await register.add(replace(new_identity("dash", at=AT), credentials=(by_serial,)))
    directory = LiveDirectory(store)
    await directory.load()
    await register.revoke_credentials("dash", None, at=AT)
    await directory.refresh()
    assert directory.take_ended() == {("dash", True): {"by-serial"}}
    assert json.loads(enabled_json(directory.snapshot(), AT))[0]["revoked"] == []
