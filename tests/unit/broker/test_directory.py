"""All identities in memory: level with the store, also when another process writes it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.authn import ConnectRequest, Denied, PasswordAuthenticator
from bartizan.broker.apply import InForce
from bartizan.broker.directory import LiveDirectory, Snapshot, changed_json, enabled_json
from bartizan.broker.hashes import HashWriter
from bartizan.broker.packed import pack
from bartizan.errors import StoreUnavailable
from bartizan.identity.register import Register, new_identity, password_credential
from bartizan.model.ban import Ban, BanOf, new_ban
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.group import Group
from bartizan.model.ids import GroupName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.reason import ReasonCode
from bartizan.policy import check
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import FUTURE, Create, CreateGroup, PutBan, RemoveBan, ReplaceGroup
from tests.unit.broker.fake import FakeEngine

NOW = datetime.now(UTC)
PRESS = new_identity("press-01", at=NOW, roles=["press"], attributes={"site": "chicago"})
POLICY = check("[roles.press]\n", "policy").compiled


class CountingStore(MemoryIdentityStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    async def look_for_changes(self, revision):
        self.looks += 1
        return await super().look_for_changes(revision)


async def loaded(store: MemoryIdentityStore) -> LiveDirectory:
    directory = LiveDirectory(store)
    await directory.load()
    return directory


async def test_an_identity_made_a_moment_ago_is_found_at_once():
    store = MemoryIdentityStore()
    directory = await loaded(store)
    await Register(store).add(PRESS)
    found = await directory.get("press-01")
    assert found is not None
    assert found.roles == ("press",)
    assert directory.changed.is_set()


async def test_a_removed_identity_is_gone_after_a_refresh():
    store = MemoryIdentityStore()
    await Register(store).add(PRESS)
    directory = await loaded(store)
    await Register(store).remove(PRESS.name)
    assert await directory.refresh()
    assert await directory.get("press-01") is None
    assert await directory.known(["press-01"]) == frozenset()
    assert not await directory.refresh()


async def test_a_flood_of_unknown_names_is_not_a_flood_of_queries():
    store = CountingStore()
    directory = await loaded(store)
    before = store.looks
    await asyncio.gather(*(directory.get(f"nobody-{n}") for n in range(1_000)))
    assert store.looks - before <= 2


async def test_a_password_is_good_from_the_moment_that_another_process_shows_it():
    store = MemoryIdentityStore()
    await Register(store).add(PRESS)
    directory = await loaded(store)
    authenticator = PasswordAuthenticator(directory)
    asked = ConnectRequest(
        client_id="press-01", listener="mqtts", address="192.0.2.1", user_name="press-01", password=b"a new one"
    )
    with pytest.raises(Denied):
        await authenticator.authenticate(asked)
    await directory.refresh()
    await Register(store).add_credential("press-01", password_credential("a new one", at=NOW))
    assert await authenticator.authenticate(asked) is not None
    assert directory.changed.is_set()


async def test_a_flood_of_wrong_proofs_is_not_a_flood_of_queries():
    store = CountingStore()
    await Register(store).add(PRESS)
    directory = await loaded(store)
    known = await directory.get("press-01")
    assert known is not None
    before = store.looks
    for _ in range(3):
        assert await asyncio.gather(*(directory.renewed(known.name, known) for _ in range(1_000))) == [None] * 1_000
    assert store.looks - before <= 4


async def test_where_the_store_cannot_be_asked_a_wrong_password_stays_one_for_any_name():
    class Gone(MemoryIdentityStore):
        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        async def look_for_changes(self, revision):
            if revision != FUTURE:
                raise StoreUnavailable("gone")
            return await super().look_for_changes(revision)

    store = Gone()
    await Register(store).add(PRESS)
    authenticator = PasswordAuthenticator(await loaded(store))
    for name in ("press-01", "nobody"):
        asked = ConnectRequest(
            client_id=name, listener="mqtts", address="192.0.2.1", user_name=name, password=b"a wrong one"
        )
        with pytest.raises(Denied) as refused:
            await authenticator.authenticate(asked)
        assert refused.value.reason is ReasonCode.BAD_USER_NAME_OR_PASSWORD


def test_who_may_connect_reaches_the_engine_and_who_is_quarantined_in_that_role_alone():
    states: dict[str, dict[str, Any]] = {
        "disabled": {"state": IdentityState.DISABLED},
        "revoked": {"state": IdentityState.REVOKED},
        "for-ever": {"state": IdentityState.QUARANTINED},
        "for-a-day": {"state": IdentityState.QUARANTINED, "quarantined_until": NOW + timedelta(1)},
        "no-longer": {"state": IdentityState.QUARANTINED, "quarantined_until": NOW},
    }
    others = [replace(new_identity(name, at=NOW), **fields) for name, fields in states.items()]
    others = [replace(other, roles=(RoleName("own"),)) for other in others]
    assert {entry["id"]: entry["roles"] for entry in entries([*others, PRESS])} == {
        "for-a-day": ["quarantine"],
        "for-ever": ["quarantine"],
        "no-longer": ["own"],
        "press-01": ["press"],
    }
    assert entries([PRESS]) == [
        {"id": "press-01", "roles": ["press"], "attributes": {"site": "chicago"}, "revoked": []}
    ]


def test_revoked_certificates_reach_the_engine():
    live, dead = (
        CertificateCredential(digit, digit * 64, "0f", NOW, NOW + timedelta(9), revoked_at=revoked_at)
        for digit, revoked_at in (("a", None), ("b", NOW))
    )
    assert entries([replace(PRESS, credentials=(live, dead))])[0]["revoked"] == ["b" * 64]


def test_equal_identities_give_equal_bytes_in_whatever_order_they_came():
    many = [new_identity(f"n-{at}", at=NOW) for at in range(20)]
    assert enabled_json(snapshot(many), NOW) == enabled_json(snapshot(many[::-1]), NOW)


async def test_the_roles_of_groups_reach_authenticators_and_engine_and_a_change_of_a_group_does():
    store = MemoryIdentityStore()
    group = Group(GroupName("line-3"), NOW, (RoleName("reader"), RoleName("press")))
    member = replace(PRESS, groups=(GroupName("line-3"),))
    revision = await store.commit([CreateGroup(group), Create(member)])
    directory = await loaded(store)
    acting = await directory.get("press-01")
    assert acting is not None
    assert acting.roles == ("press", "reader")
    assert json.loads(enabled_json(directory.snapshot(), NOW))[0]["roles"] == ["press", "reader"]
    await store.commit([ReplaceGroup(replace(group, roles=(RoleName("writer"),), revision=revision))])
    assert await directory.refresh()
    assert json.loads(enabled_json(directory.snapshot(), NOW))[0]["roles"] == ["press", "writer"]


def test_certificates_that_somebody_else_revoked_are_nobodys():
    told = json.loads(enabled_json(snapshot([PRESS]), NOW, {"cd" * 32, "ab" * 32}))
    assert [each["id"] for each in told] == ["press-01", "\0"]
    assert told[1] == {"id": "\0", "roles": [], "attributes": {}, "revoked": ["ab" * 32, "cd" * 32]}


SEVEN = PasswordCredential("p", "$7$101$x8s9c0RZ3VYVyPzW$0b7yl5cnGVMq5fOqkkfyAA==", NOW)
ANEW = "$argon2id$anew"


async def rehashing() -> tuple[MemoryIdentityStore, LiveDirectory, HashWriter, InForce, FakeEngine]:
    """A broker whose identities were taken over from another one, and who of them has just logged in."""
    store = MemoryIdentityStore()
    for name in ("press-01", "press-02"):
        await Register(store).add(replace(new_identity(name, at=NOW), credentials=(SEVEN,)))
    directory = await loaded(store)
    engine = FakeEngine()
    assert POLICY is not None
    in_force = InForce(engine, directory, POLICY)
    await in_force.begin()
    hashes = HashWriter(store, directory.expect_rehashed)
    for name in ("press-01", "press-02"):
        hashes.rehashed(name, "p", SEVEN.hash, ANEW)
    return store, directory, hashes, in_force, engine


async def test_hashes_made_anew_are_nothing_to_the_engine_and_cost_nobody_a_remembered_success():
    _, directory, hashes, in_force, engine = await rehashing()
    await hashes.write()
    assert await directory.refresh()
    assert not directory.changed.is_set()
    found = await directory.get("press-02")
    assert found is not None
    assert found.credentials == (replace(SEVEN, hash=ANEW),)
    # Nobody waits for what the engine is not told.
    await asyncio.wait_for(in_force.settled(), 1)
    engine.close()


@pytest.mark.parametrize("when", ["before", "after", "beside"])
async def test_what_somebody_else_changes_around_hashes_made_anew_is_told_all_the_same(when):
    store, directory, hashes, _, engine = await rehashing()
    register = Register(store)
    other = "press-01" if when != "beside" else "press-03"
    if when == "beside":
        await register.add(new_identity("press-03", at=NOW))
    if when != "after":
        await register.change(other, lambda now: replace(now, roles=(RoleName("reader"),)))
    await hashes.write()
    if when == "after":
        await register.change(other, lambda now: replace(now, roles=(RoleName("reader"),)))
    assert await directory.refresh()
    assert directory.changed.is_set()
    assert directory.engine_revision == directory.revision
    engine.close()


async def test_a_password_that_somebody_else_replaces_under_its_id_is_told():
    store, directory, _, _, engine = await rehashing()
    another = replace(SEVEN, hash="$argon2id$another")
    await Register(store).change("press-01", lambda now: replace(now, credentials=(another,)))
    assert await directory.refresh()
    assert directory.changed.is_set()
    engine.close()


async def test_a_quarantine_ends_by_itself():
    store = MemoryIdentityStore()
    until = datetime.now(UTC) + timedelta(seconds=0.2)
    await Register(store).add(replace(PRESS, state=IdentityState.QUARANTINED, quarantined_until=until))
    directory = await loaded(store)
    assert not await directory.refresh()
    assert b'"roles":["quarantine"]' in enabled_json(directory.snapshot(), datetime.now(UTC))
    acting = await directory.get("press-01")
    assert acting
    assert acting.roles == ("quarantine",)
    await asyncio.sleep(0.25)
    assert await directory.refresh()
    assert directory.changed.is_set()
    assert b'"roles":["press"]' in enabled_json(directory.snapshot(), datetime.now(UTC))
    # What it subscribed to before the quarantine is gone: it has to come anew.
    assert list(directory.take_touched().endings) == ["press-01"]
    assert not await directory.refresh()


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (IdentityState.ENABLED, IdentityState.REVOKED, "the identity is revoked"),
        (IdentityState.ENABLED, IdentityState.DISABLED, None),
        (IdentityState.ENABLED, IdentityState.QUARANTINED, None),
        (IdentityState.QUARANTINED, IdentityState.REVOKED, "the identity is revoked"),
        (IdentityState.QUARANTINED, IdentityState.ENABLED, "released from quarantine: connect and subscribe anew"),
    ],
)
async def test_whose_sessions_end_with_a_change_of_state(before, after, ends):
    store = MemoryIdentityStore()
    await Register(store).add(replace(PRESS, state=before))
    await Register(store).add(new_identity("other", at=NOW))
    directory = await loaded(store)
    await Register(store).set_state("press-01", after)
    await directory.refresh()
    touched = directory.take_touched()
    assert list(touched.records) == ["press-01"]
    assert {name: ending.why for name, ending in touched.endings.items()} == (
        {} if ends is None else {"press-01": ends}
    )
    told = json.loads(changed_json(touched, datetime.now(UTC)))
    assert told["gone"] == ([] if after in (IdentityState.ENABLED, IdentityState.QUARANTINED) else ["press-01"])
    assert directory.take_touched().records == {}


async def test_an_engine_that_has_started_is_told_to_end_what_it_holds_of_who_is_revoked():
    store, engine = MemoryIdentityStore(), FakeEngine()
    await Register(store).add(replace(PRESS, state=IdentityState.REVOKED))
    await Register(store).add(new_identity("other", at=NOW))
    in_force = in_force_of(engine, await loaded(store))
    await in_force.begin()
    assert [one.identity for one in (await in_force.follow()).sessions] == ["press-01"]
    (told,) = engine.updated
    assert (told["gone"], list(told["endings"]), told["identities"]) == (["press-01"], ["press-01"], [])
    assert (await in_force.follow()).sessions == ()
    engine.close()


async def test_what_did_not_reach_the_engine_is_told_again_and_nothing_that_was_to_end_goes_on():
    store = MemoryIdentityStore()
    await Register(store).add(PRESS)
    directory = await loaded(store)
    await Register(store).set_state("press-01", IdentityState.REVOKED)
    await directory.refresh()
    directory.give_back(directory.take_touched())
    again = directory.take_touched()
    assert again.is_everything
    assert list(again.endings) == ["press-01"]


async def test_a_group_that_changes_may_touch_anybody():
    store = MemoryIdentityStore()
    await store.commit([Create(PRESS)])
    directory = await loaded(store)
    await store.commit([CreateGroup(Group(GroupName("line-3"), NOW))])
    await directory.refresh()
    assert directory.take_touched().is_everything


async def test_the_revoked_certificates_are_those_of_identities_that_are_there():
    store = MemoryIdentityStore()
    dead = CertificateCredential("b", "b" * 64, "0f", NOW, NOW + timedelta(9), revoked_at=NOW)
    await Register(store).add(replace(PRESS, credentials=(dead,)))
    directory = await loaded(store)
    assert directory.revoked_certificates() == [dead]
    await Register(store).remove(PRESS.name)
    await directory.refresh()
    assert directory.revoked_certificates() == []


def snapshot(identities: Sequence[Identity]) -> Snapshot:
    return Snapshot({identity.name: pack(identity) for identity in identities}, {}, 1)


def entries(identities: Sequence[Identity]) -> list[dict[str, Any]]:
    return json.loads(enabled_json(snapshot(identities), NOW))


async def test_settled_waits_until_the_engine_knows_what_the_directory_knows():
    assert POLICY is not None
    store, engine = MemoryIdentityStore(), FakeEngine()
    directory = await loaded(store)
    in_force = InForce(engine, directory, POLICY)
    await in_force.begin()
    await asyncio.wait_for(in_force.settled(), 1)
    await Register(store).add(PRESS)
    await directory.refresh()
    waiting = asyncio.create_task(in_force.settled())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await in_force.put()
    await asyncio.wait_for(waiting, 1)
    assert b"press-01" in engine.applied[-1][1]
    engine.close()


def in_force_of(engine: FakeEngine, directory: LiveDirectory) -> InForce:
    assert POLICY is not None
    return InForce(engine, directory, POLICY)


async def banned_in(store: MemoryIdentityStore, **other: Any) -> Ban:
    ban = new_ban(BanOf.IDENTITY, "press-01", at=datetime.now(UTC), **other)
    await store.commit([PutBan(ban)])
    return ban


async def test_bans_are_told_from_the_start_and_whenever_one_begins_or_ends():
    store, engine = MemoryIdentityStore(), FakeEngine()
    ban = await banned_in(store)
    in_force = in_force_of(engine, await loaded(store))
    await in_force.begin()
    told = [{"of": "identity", "what": "press-01", "issuer": ""}]
    assert engine.banned == [told]
    await Register(store).add(PRESS)
    await in_force._directory.refresh()
    await in_force.follow()
    assert engine.banned == [told], "nothing of them has changed"
    engine.cut = [{"identity": "press-01", "client_id": "a", "tenant": None, "address": "192.0.2.7", "why": "banned"}]
    ended = await in_force.change(lambda: store.commit([PutBan(replace(ban, of=BanOf.CLIENT_ID))]))
    assert [(one.client_id, one.address) for one in ended.cut] == [("a", "192.0.2.7")]
    engine.cut = []
    await in_force.change(lambda: store.commit([RemoveBan(ban.id)]))
    assert [[one["of"] for one in each] for each in engine.banned] == [
        ["identity"],
        ["identity", "client_id"],
        ["client_id"],
    ]


async def test_a_ban_ends_by_itself_and_is_known_before_a_password_is_hashed():
    store, engine = MemoryIdentityStore(), FakeEngine()
    directory = await loaded(store)
    in_force = in_force_of(engine, directory)
    await in_force.begin()
    await banned_in(store, until=datetime.now(UTC) + timedelta(seconds=0.2))
    assert await directory.refresh()
    assert (directory.is_banned("press-01"), directory.is_banned("press-02")) == (True, False)
    assert directory.banned() == {of: int(of is BanOf.IDENTITY) for of in BanOf}
    await in_force.follow()
    await asyncio.sleep(0.25)
    assert await directory.refresh()
    assert directory.changed.is_set()
    assert not directory.is_banned("press-01")
    await in_force.follow()
    assert [len(each) for each in engine.banned] == [0, 1, 0]
    assert not await directory.refresh(), "once"


async def test_what_ended_by_itself_is_let_go_of_once_and_the_engine_hears_nothing_of_that():
    store, engine = LettingGo(), FakeEngine()
    past = timedelta(seconds=-1)
    over = replace(await banned_in(store), until=datetime.now(UTC) + past)
    holds = new_ban(BanOf.CLIENT_ID, "x", at=datetime.now(UTC) + 2 * past)
    await store.commit([PutBan(holds), PutBan(replace(over, created_at=holds.created_at))])
    directory = await loaded(store)
    await in_force_of(engine, directory).begin()
    store.commits = 0
    for _ in range(3):
        await directory.let_go(store)
    assert (await store.bans(), store.commits) == ([holds], 1)
    assert (engine.banned, directory.take_touched().bans) == ([[{"of": "client_id", "what": "x", "issuer": ""}]], None)


class LettingGo(MemoryIdentityStore):
    commits = 0

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    async def commit(self, changes, told=None):
        self.commits += 1
        return await super().commit(changes, told)


async def test_bans_that_did_not_reach_the_engine_are_told_again():
    store, engine = MemoryIdentityStore(), Failing()
    in_force = in_force_of(engine, await loaded(store))
    await in_force.begin()
    engine.fails = True
    with pytest.raises(RuntimeError):
        await in_force.change(lambda: banned_in(store))
    engine.fails = False
    await in_force.follow()
    assert [len(each) for each in engine.banned] == [0, 1]


class Failing(FakeEngine):
    fails = False

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def ban(self, bans: bytes) -> Sequence[Mapping[str, Any]]:
        if self.fails:
            raise RuntimeError("a shard did not answer")
        return super().ban(bans)
