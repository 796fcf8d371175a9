"""What every identity store does. Each adapter runs the whole suite."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.ids import AttributeName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.store import Create, IdentityStore, MemoryIdentityStore, Remove, Replace, SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IdentityStore]:
    store: IdentityStore = (
        MemoryIdentityStore() if request.param == "memory" else await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    )
    yield store
    await store.close()


def identity(name: str = "press-01") -> Identity:
    return Identity(name=IdentityName.parse(name), created_at=AT)


def rich_identity() -> Identity:
    certificate = CertificateCredential(
        ("c2"), "ab" * 32, "0f", AT + timedelta(1), AT + timedelta(365), revoked_at=AT + timedelta(2)
    )
    return replace(
        identity(),
        roles=(RoleName("press"), RoleName("auditor")),
        attributes=((AttributeName("area"), "ü"), (AttributeName("site"), "chicago")),
        state=IdentityState.DISABLED,
        note="line 3",
        credentials=(PasswordCredential("c1", "$argon2id$x", AT, must_change=True), certificate),
    )


async def test_everything_of_an_identity_comes_back(store):
    revision = await store.commit([Create(rich_identity())])
    assert await store.get("press-01") == replace(rich_identity(), revision=revision)


async def test_an_unknown_name_is_none(store):
    assert await store.get("nobody") is None


@pytest.mark.parametrize("odd", ["press-0_", "press-%", "'; drop table identity; --", "PRESS-01"])
async def test_names_are_compared_exactly(store, odd):
    await store.commit([Create(identity())])
    assert await store.get(odd) is None
    assert await store.known([odd, "press-01"]) == {"press-01"}


async def test_a_name_is_given_once(store):
    await store.commit([Create(identity())])
    with pytest.raises(AlreadyExists):
        await store.commit([Create(identity())])


async def test_all_changes_or_none(store):
    before = await store.commit([Create(identity("a"))])
    with pytest.raises(AlreadyExists):
        await store.commit(
            [Create(identity("b")), Remove(IdentityName("a")), Create(identity("c")), Create(identity("c"))]
        )
    assert [one.name for one in await store.page()] == ["a"]
    assert (await store.changes_since(before)).revision == before


async def test_a_replacement_replaces_everything(store):
    revision = await store.commit([Create(rich_identity())])
    await store.commit([Replace(replace(identity(), revision=revision, note="bare"))])
    bare = await store.get("press-01")
    assert bare is not None
    assert (bare.roles, bare.attributes, bare.credentials, bare.note) == ((), (), (), "bare")


async def test_a_replacement_of_what_someone_else_changed_is_a_conflict(store):
    revision = await store.commit([Create(identity())])
    seen = replace(identity(), revision=revision)
    await store.commit([Replace(replace(seen, note="first"))])
    with pytest.raises(Conflict):
        await store.commit([Replace(replace(seen, note="second"))])


async def test_what_is_not_there_can_neither_be_replaced_nor_removed(store):
    for change in (Replace(identity()), Remove(IdentityName("press-01"))):
        with pytest.raises(NotFound):
            await store.commit([change])


async def test_changes_since_a_revision_name_what_was_written_and_removed(store):
    first = await store.commit([Create(identity("a")), Create(identity("b")), Create(identity("c"))])
    everything = await store.changes_since(0)
    assert (everything.written, everything.removed) == ({"a", "b", "c"}, set())
    await store.commit([Remove(IdentityName("a"))])
    last = await store.commit([Replace(replace(identity("b"), revision=first))])
    delta = await store.changes_since(first)
    assert (delta.revision, delta.written, delta.removed) == (last, {"b"}, {"a"})
    nothing = await store.changes_since(last)
    assert (nothing.revision, nothing.written, nothing.removed) == (last, set(), set())


async def test_a_name_that_comes_back_is_written_not_removed(store):
    first = await store.commit([Create(identity("a"))])
    await store.commit([Remove(IdentityName("a"))])
    await store.commit([Create(identity("a"))])
    delta = await store.changes_since(first)
    assert (delta.written, delta.removed) == ({"a"}, set())


async def test_pages_are_in_order_and_miss_nothing(store):
    names = [f"n{number:03}" for number in range(25)]
    await store.commit([Create(identity(name)) for name in reversed(names)])
    seen: list[str] = []
    while page := await store.page(seen[-1] if seen else "", 10):
        seen += [one.name for one in page]
    assert seen == names


async def test_known_of_nothing_is_nothing(store):
    assert await store.known([]) == frozenset()
