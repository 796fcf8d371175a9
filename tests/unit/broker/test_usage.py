"""Who was seen, and by what: gathered without a query, written in batches, bounded."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bartizan.authn import ConnectRequest
from bartizan.broker import usage as module
from bartizan.broker.usage import UsageBook
from bartizan.errors import StoreUnavailable
from bartizan.identity.register import Register, new_identity
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Principal
from bartizan.model.usage import Usage
from bartizan.store.memory import MemoryIdentityStore

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)


@pytest.fixture
async def store() -> MemoryIdentityStore:
    store = MemoryIdentityStore()
    for name in ("press-01", "press-02"):
        await Register(store).add(new_identity(name, at=AT))
    return store


def connect(name: str, credential: str = "c1", client_id: str | None = None) -> tuple[ConnectRequest, Principal]:
    request = ConnectRequest(client_id=client_id or name, listener="mqtts", address="192.0.2.1")
    return request, Principal(name, credential_id=credential)


def event(kind: str, name: str, client_id: str | None = None, at_ms: int = MS) -> dict[str, Any]:
    return {"event": kind, "at_ms": at_ms, "identity": name, "client_id": client_id or name, "address": "192.0.2.9"}


async def test_a_proof_is_written_with_its_credential(store):
    book, before = UsageBook(store), datetime.now(UTC)
    book.proved(*connect("press-01"))
    assert await store.usage() == []
    await book.write()
    (found,) = await store.usage()
    assert (found.name, found.credential_id, found.address) == ("press-01", "c1", "192.0.2.1")
    assert before <= found.last_seen_at <= datetime.now(UTC)


async def test_what_the_engine_tells_counts_for_the_credential_that_its_client_last_showed(store):
    book = UsageBook(store)
    book.proved(*connect("press-01", "c1"))
    book.proved(*connect("press-01", "c2", "press-01-debug"))
    await book.write()
    later = MS + 10**12
    book.events([event("connected", "press-01", at_ms=later), event("disconnected", "press-01-debug", at_ms=later)])
    book.events([event("connected", "press-02", at_ms=later), {"event": "started", "at_ms": later}])
    await book.write()
    at = datetime.fromtimestamp(later / 1000, UTC)
    found = {(use.name, use.credential_id): use for use in await store.usage()}
    assert found["press-01", "c1"] == Usage(IdentityName("press-01"), at, "c1", "192.0.2.9")
    assert found["press-01", "c2"].address == "192.0.2.1"
    assert found["press-02", ""].last_seen_at == at


async def test_what_could_not_be_written_is_written_with_the_next(store, monkeypatch):
    book = UsageBook(store)
    book.proved(*connect("press-01"))

    async def fail(_usages: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "note_usage", fail)
        with pytest.raises(StoreUnavailable):
            await book.write()
        book.proved(*connect("press-02"))
    await book.write()
    assert [use.name for use in await store.usage()] == ["press-01", "press-02"]


async def test_what_waits_and_what_is_remembered_is_bounded(store, monkeypatch):
    monkeypatch.setattr(module, "USES_MAX", 10)
    monkeypatch.setattr(module, "PROOFS_MAX", 10)
    book = UsageBook(store)
    for at in range(1_000):
        book.proved(*connect(f"n{at}"))
        book.events([event("connected", f"m{at}")])
    assert (len(book._uses), len(book._proofs)) == (10, 10)
    book.events([event("connected", "n0")])
    assert book._uses["n0", "c1"].address == "192.0.2.1", "of a client long forgotten no credential is made up"
