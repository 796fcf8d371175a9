"""What every identity store does. Each adapter runs the whole suite."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.config.audit import AuditSettings
from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.actor import Actor
from bartizan.model.ban import Ban, BanOf, new_ban
from bartizan.model.credential import CertificateCredential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.throttle import RATE_MAX, Throttle, new_throttle
from bartizan.model.usage import Usage
from bartizan.store import memory, writer
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import (
    DECOY_KEY_BYTES,
    FUTURE,
    Create,
    CreateGroup,
    Delta,
    IdentityStore,
    Order,
    PutBan,
    PutThrottle,
    Remove,
    RemoveBan,
    RemoveGroup,
    RemoveThrottle,
    Replace,
    ReplaceGroup,
)
from bartizan.store.postgres import PostgresIdentityStore
from bartizan.store.sqlite import SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite", "postgres", "recorded"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IdentityStore]:
    store = await opened(request, tmp_path)
    yield store
    await store.close()


async def opened(request: pytest.FixtureRequest, directory: Path) -> IdentityStore:
    if request.param == "memory":
        return MemoryIdentityStore()
    if request.param == "recorded":
        trail = Trail.of(directory / "audit", AuditSettings(), Actor("anna"))
        return RecordedStore(await SqliteIdentityStore.open(directory / "i.sqlite"), trail)
    if request.param == "sqlite":
        return await SqliteIdentityStore.open(directory / "i.sqlite")
    server = request.getfixturevalue("postgres")
    return await PostgresIdentityStore.open(await asyncio.to_thread(server.make_database), server.password)


def identity(name: str = "press-01") -> Identity:
    return Identity(name=IdentityName.parse(name), created_at=AT)


def group(name: str = "line-3", *roles: str) -> Group:
    return Group(GroupName.parse(name), AT, tuple(RoleName(role) for role in roles), note="ü")


def rich_identity() -> Identity:
    later = AT + timedelta(30)
    certificate = CertificateCredential(
        "c2",
        "ab" * 32,
        "0f",
        AT + timedelta(1),
        AT + timedelta(365),
        revoked_at=AT + timedelta(2),
        expires_at=later,
        note="the old one",
        issuer="CN=Plant CA",
    )
    by_serial = CertificateCredential(
        "c4", "", "4f2a", AT + timedelta(3), None, note="a device of the other plant", issuer="CN=ü,O=x"
    )
    scram = ScramCredential("c3", "SCRAM-SHA-256", 4096, b"salt", b"s" * 32, b"k" * 32, AT + timedelta(2), later)
    password = PasswordCredential("c1", "$argon2id$x", AT, must_change=True, expires_at=later, note="by post")
    return replace(
        identity(),
        roles=(RoleName("press"), RoleName("auditor")),
        attributes=((AttributeName("area"), "ü"), (AttributeName("site"), "chicago")),
        state=IdentityState.QUARANTINED,
        note="line 3",
        credentials=(password, certificate, scram, by_serial),
        groups=(GroupName("line-3"), GroupName("all-presses")),
        owner="maintenance@plant.example",
        quarantined_until=later,
        quarantine_reason="published what it never did",
        quarantine_ticket="INC-4711",
        quarantined_by="anna",
    )


RICH = (CreateGroup(group("line-3")), CreateGroup(group("all-presses")), Create(rich_identity()))


async def test_everything_of_an_identity_comes_back(store):
    revision = await store.commit(RICH)
    stored = await store.get("press-01")
    assert stored == replace(rich_identity(), revision=revision)
    assert await store.page() == [stored]
    assert await store.get_many(["press-01", "nobody", "press-01"]) == [stored]


async def test_the_decoy_key_is_always_the_same(store):
    key = await store.decoy_key()
    assert len(key) == DECOY_KEY_BYTES
    await store.commit([Create(identity())])
    assert await store.decoy_key() == key


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
    assert (await store.look_for_changes(before)).revision == before


async def test_a_replacement_replaces_everything(store):
    revision = await store.commit(RICH)
    last = await store.commit([Replace(replace(identity(), revision=revision, note="bare"))])
    assert await store.get("press-01") == replace(identity(), revision=last, note="bare")


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


async def test_a_change_is_told_of_sooner_or_later_without_asking_what_is_stored(store):
    revision = await store.commit([Create(identity("a"))])
    async with asyncio.timeout(30):
        while (told := await store.changes_since(0)).revision != revision:  # noqa: ASYNC110  a database tells in its time
            await asyncio.sleep(0.01)
    assert told == await store.look_for_changes(0)


async def test_changes_since_a_revision_name_what_was_written_and_removed(store):
    first = await store.commit([Create(identity("a")), Create(identity("b")), Create(identity("c"))])
    everything = await store.look_for_changes(0)
    assert (everything.written, everything.removed) == ({"a", "b", "c"}, set())
    await store.commit([Remove(IdentityName("a"))])
    last = await store.commit([Replace(replace(identity("b"), revision=first))])
    delta = await store.look_for_changes(first)
    assert (delta.revision, delta.written, delta.removed) == (last, {"b"}, {"a"})
    nothing = await store.look_for_changes(last)
    assert (nothing.revision, nothing.written, nothing.removed) == (last, set(), set())


async def test_a_name_that_comes_back_is_written_not_removed(store):
    first = await store.commit([Create(identity("a"))])
    await store.commit([Remove(IdentityName("a"))])
    await store.commit([Create(identity("a"))])
    delta = await store.look_for_changes(first)
    assert (delta.written, delta.removed) == ({"a"}, set())


async def test_pages_are_in_order_and_miss_nothing(store):
    names = [f"n{number:03}" for number in range(25)]
    await store.commit([Create(identity(name)) for name in reversed(names)])
    seen: list[str] = []
    while page := await store.page(seen[-1] if seen else "", 10):
        seen += [one.name for one in page]
    assert seen == names


@pytest.mark.parametrize("order", Order)
async def test_pages_in_every_order_miss_nothing_and_repeat_nothing(store, order):
    # Many of one time, so that the name decides; more than a query asks for at once.
    made = [
        replace(identity(f"n{number * 7 % 601:03}"), created_at=datetime(2026, 1, 1 + number % 5, tzinfo=UTC))
        for number in range(601)
    ]
    await store.commit([Create(one) for one in made])
    seen: list[Identity] = []
    while page := await store.in_order(order, order.place(seen[-1]) if seen else None, 250):
        seen += page
    expected = sorted(made, key=order.place, reverse=order.is_down)
    assert [one.name for one in seen] == [one.name for one in expected]


async def test_known_of_nothing_is_nothing(store):
    assert await store.known([]) == frozenset()
    assert await store.get_many([]) == []


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "", "x" * 100_000])
async def test_what_can_be_no_name_is_not_found(store, odd):
    assert await store.get(odd) is None
    assert await store.known([odd]) == frozenset()
    assert await store.usage([odd]) == []
    with pytest.raises(NotFound):
        await store.commit([Remove(IdentityName(odd))])


async def test_many_are_written_at_once_and_progress_is_told(store):
    told: list[int] = []
    many = [Create(replace(identity(f"n{at:04}"), roles=(RoleName("press"),))) for at in range(1_234)]
    revision = await store.commit(many, told.append)
    assert told == sorted(told)
    assert told[-1] == 1_234
    assert (await store.look_for_changes(0)).written == {f"n{at:04}" for at in range(1_234)}
    assert [one.revision for one in await store.page("n1232", 10)] == [revision]
    read = await store.get_many([f"n{at:04}" for at in range(0, 1_234, 2)])
    assert [one.name for one in read] == [f"n{at:04}" for at in range(0, 1_234, 2)]
    await store.commit([Replace(replace(one, note="again")) for one in read])
    assert [(one.note, one.roles) for one in await store.page("", 2)] == [("again", ("press",)), ("", ("press",))]


async def test_a_late_mistake_among_many_undoes_all(store):
    many = [Create(identity(f"n{at:04}")) for at in range(1_234)]
    with pytest.raises(AlreadyExists):
        await store.commit([*many, Create(identity("n0000"))])
    assert await store.page() == []


async def test_the_revision_alone_can_be_asked_for(store):
    revision = await store.commit([Create(identity())])
    assert await store.look_for_changes(FUTURE) == Delta(revision, frozenset(), frozenset())


async def test_revoked_certificates_are_found_and_nothing_else(store):
    await store.commit(RICH)
    live = replace(identity("live"), credentials=(CertificateCredential("c", "cd" * 32, "01", AT, AT),))
    revoked_password = PasswordCredential("p", "$argon2id$x", AT, revoked_at=AT)
    await store.commit([Create(live), Create(replace(identity("other"), credentials=(revoked_password,)))])
    assert [item.fingerprint_sha256 for item in await store.revoked_certificates()] == ["ab" * 32]


async def test_a_group_comes_back_and_its_change_is_told(store):
    first = await store.commit([CreateGroup(group("line-3", "press", "auditor"))])
    stored = replace(group("line-3", "press", "auditor"), revision=first)
    assert await store.groups() == [stored]
    assert (await store.look_for_changes(0)).groups_changed
    assert not (await store.look_for_changes(first)).groups_changed
    second = await store.commit([ReplaceGroup(replace(stored, roles=(RoleName("reader"),)))])
    assert [one.roles for one in await store.groups()] == [("reader",)]
    assert (await store.look_for_changes(first)).groups_changed
    await store.commit([RemoveGroup(GroupName("line-3"))])
    assert await store.groups() == []
    assert (await store.look_for_changes(second)).groups_changed


async def test_a_group_that_is_wrong_is_refused(store):
    revision = await store.commit([CreateGroup(group())])
    with pytest.raises(AlreadyExists):
        await store.commit([CreateGroup(group())])
    with pytest.raises(Conflict):
        await store.commit([ReplaceGroup(group())])
    for change in (ReplaceGroup(group("other")), RemoveGroup(GroupName("other"))):
        with pytest.raises(NotFound):
            await store.commit([change])
    with pytest.raises(NotFound, match="no group 'other'"):
        await store.commit([Create(replace(identity(), groups=(GroupName("other"),)))])
    assert (await store.look_for_changes(FUTURE)).revision == revision
    assert await store.get("press-01") is None


async def test_a_group_is_not_removed_under_its_members(store):
    revision = await store.commit([CreateGroup(group()), Create(replace(identity(), groups=(GroupName("line-3"),)))])
    with pytest.raises(Conflict, match="identities are in group"):
        await store.commit([RemoveGroup(GroupName("line-3"))])
    alone = replace(identity(), revision=revision)
    await store.commit([Replace(alone), RemoveGroup(GroupName("line-3"))])
    assert await store.groups() == []


def ban(what: str = "192.0.2.0/24", at: datetime = AT, **other: Any) -> Ban:
    return new_ban(BanOf.ADDRESS, what, at=at, **other)


async def test_a_ban_comes_back_and_its_change_is_told(store):
    until = AT + timedelta(hours=2)
    first = new_ban(BanOf.SERIAL, "4f2a", at=AT, until=until, issuer="CN=ü,O=x", reason="lost, INC-1", by="anna")
    second = ban(at=AT + timedelta(seconds=1))
    before = await store.commit([CreateGroup(group())])
    assert not (await store.look_for_changes(0)).bans_changed
    revision = await store.commit([PutBan(second), PutBan(first)])
    assert await store.bans() == [first, second]
    delta = await store.look_for_changes(before)
    assert (delta.bans_changed, delta.groups_changed, delta.written) == (True, False, frozenset())
    assert not (await store.look_for_changes(revision)).bans_changed
    await store.commit([RemoveBan(first.id)])
    assert await store.bans() == [second]
    assert (await store.look_for_changes(revision)).bans_changed


async def test_what_is_banned_again_is_banned_as_it_is_said_then(store):
    await store.commit([PutBan(ban(reason="first"))])
    again = ban(at=AT + timedelta(minutes=1), until=AT + timedelta(hours=1), reason="second")
    await store.commit([PutBan(again)])
    assert await store.bans() == [again]


async def test_a_ban_that_is_over_goes_with_the_next_one(store):
    over = ban("192.0.2.1", until=AT + timedelta(seconds=30))
    holds = ban("192.0.2.2", until=AT + timedelta(seconds=90))
    await store.commit([PutBan(over), PutBan(holds), PutBan(ban("192.0.2.3"))])
    assert len(await store.bans()) == 3
    await store.commit([PutBan(ban("192.0.2.4", at=AT + timedelta(seconds=30)))])
    assert [one.what for one in await store.bans()] == ["192.0.2.2", "192.0.2.3", "192.0.2.4"]


@pytest.mark.parametrize("id_", ["0123456789abcdef", "", "\0", "\udc00"])
async def test_a_ban_that_is_not_there_is_not_removed(store, id_):
    revision = await store.commit([PutBan(ban())])
    with pytest.raises(NotFound):
        await store.commit([RemoveBan(id_)])
    assert (await store.look_for_changes(FUTURE)).revision == revision


async def test_bans_are_bounded(store, monkeypatch):
    for module in (memory, writer):
        monkeypatch.setattr(module, "BANS_MAX", 2)
    await store.commit([PutBan(ban("192.0.2.1")), PutBan(ban("192.0.2.2"))])
    await store.commit([PutBan(ban("192.0.2.2", reason="again"))])
    with pytest.raises(Conflict, match="bans already"):
        await store.commit([PutBan(ban("192.0.2.3"))])
    assert len(await store.bans()) == 2


def throttle(name: str = "press-01", **other: Any) -> Throttle:
    return new_throttle(name, messages_per_s=5, until=AT + timedelta(hours=1), **other)


async def test_a_throttle_comes_back_and_its_change_is_told(store):
    first = throttle("press-02", bytes_per_s=RATE_MAX, reason="ü, INC-1", by="anna")
    revision = await store.commit([PutBan(ban())])
    assert not (await store.look_for_changes(0)).throttles_changed
    await store.commit([PutThrottle(first), PutThrottle(throttle())])
    assert await store.throttles() == [throttle(), first]
    delta = await store.look_for_changes(revision)
    assert (delta.throttles_changed, delta.bans_changed, delta.written) == (True, False, frozenset())
    again = replace(first, messages_per_s=0, until=AT)
    revision = await store.commit([PutThrottle(again)])
    assert await store.throttles() == [throttle(), again]
    assert not (await store.look_for_changes(revision)).throttles_changed
    await store.commit([RemoveThrottle("press-02")])
    assert await store.throttles() == [throttle()]
    assert (await store.look_for_changes(revision)).throttles_changed


@pytest.mark.parametrize("name", ["press-02", "", "\0", "\ud800"])
async def test_a_throttle_that_is_not_there_is_not_removed(store, name):
    revision = await store.commit([PutThrottle(throttle())])
    with pytest.raises(NotFound):
        await store.commit([RemoveThrottle(name)])
    assert (await store.look_for_changes(FUTURE)).revision == revision


async def test_throttles_are_bounded(store, monkeypatch):
    for module in (memory, writer):
        monkeypatch.setattr(module, "THROTTLES_MAX", 1)
    await store.commit([PutThrottle(throttle())])
    await store.commit([PutThrottle(throttle(reason="again"))])
    with pytest.raises(Conflict, match="throttled already"):
        await store.commit([PutThrottle(throttle("press-02"))])
    assert [one.reason for one in await store.throttles()] == ["again"]


def use(name: str, seconds: int, credential_id: str = "c1", address: str = "10.0.0.7") -> Usage:
    return Usage(IdentityName(name), AT + timedelta(seconds=seconds), credential_id, address)


async def test_the_last_use_of_each_credential_is_kept_and_raises_no_revision(store):
    revision = await store.commit([Create(identity("a")), Create(identity("b"))])
    await store.note_usage([use("a", 1), use("a", 2, "c2"), use("b", 3), use("nobody", 4)])
    await store.note_usage([use("a", 5, address="10.0.0.8"), use("b", 0, address="too old")])
    await store.note_usage([])
    assert await store.usage() == [use("a", 5, address="10.0.0.8"), use("a", 2, "c2"), use("b", 3)]
    assert await store.usage(["b", "nobody"]) == [use("b", 3)]
    assert (await store.look_for_changes(FUTURE)).revision == revision


async def test_the_usage_of_a_removed_identity_goes_with_it(store):
    await store.commit([Create(identity("a"))])
    await store.note_usage([use("a", 1)])
    await store.commit([Remove(IdentityName("a"))])
    await store.commit([Create(identity("a"))])
    assert await store.usage() == []
