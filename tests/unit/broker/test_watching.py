"""What is watched: told to the engine, written to the store, ended in time, and gone on with after a restart."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.audit.search import records
from bartizan.audit.trail import Trail
from bartizan.broker.log import Journal
from bartizan.broker.watching import Lesson as Session
from bartizan.broker.watching import Staged, Watching
from bartizan.config.audit import AuditSettings
from bartizan.config.schema import LogSettings
from bartizan.errors import InvalidValue, StoreUnavailable
from bartizan.model.actor import Actor
from bartizan.model.observation import Watched
from bartizan.policy import CompiledPolicy, check
from bartizan.policy.rule_names import fingerprints
from bartizan.store.observations import ObservationStore
from tests.unit.broker.fake import FakeEngine
from tests.unit.store.test_observations import row, shard, use

TWO = '[roles.a]\npermit = [{ action = "publish", filter = "a" }, { action = "publish", filter = "b" }]\n'


def compiled(text: str) -> CompiledPolicy:
    policy = check(text, "p.toml").compiled
    assert policy is not None
    return policy


IN_FORCE = compiled(TWO)
POLICY = (("p.toml", '[roles.a]\npermit = [{ action = "publish", filter = "a" }]\n'),)


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(io.StringIO(), LogSettings())
    yield journal
    journal.close()


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    engine = FakeEngine()
    yield engine
    engine.close()


@pytest.fixture
def store(tmp_path: Path) -> ObservationStore:
    return ObservationStore(tmp_path / "observations.sqlite")


def trail_beside(store: ObservationStore) -> Trail:
    return Trail.of(store._file._path.with_name("audit"), AuditSettings(), Actor("broker"))


async def watching(engine: FakeEngine, store: ObservationStore, journal: Journal) -> Watching:
    made = Watching(engine, store, journal, trail_beside(store))
    await made.begin(IN_FORCE)
    return made


async def test_denials_and_uses_are_watched_from_the_start(engine, store, journal):
    made = await watching(engine, store, journal)
    assert engine.watched == [((), None)]
    engine.observed = [shard(denials=[row("a")]), shard()]
    await made.write()
    assert [each.topic for each in store.observations(Watched.DENIED)] == ["a"]


async def test_where_nothing_was_observed_nothing_is_written(engine, store, journal, monkeypatch):
    made = await watching(engine, store, journal)
    monkeypatch.setattr(store, "write", None)
    engine.observed = [shard(), shard()]
    await made.write()


async def test_which_rules_are_in_force_is_known_from_the_start(engine, store, journal):
    await watching(engine, store, journal)
    assert set(store.rules()) == set(fingerprints(IN_FORCE.image).values())
    assert store.uses_since() is not None


async def test_where_a_broker_was_killed_its_last_uses_are_missing(engine, store, journal):
    await (await watching(engine, store, journal)).end()
    await watching(engine, store, journal)
    assert store.uses_lost() is None
    await watching(engine, store, journal)
    assert store.uses_lost() is not None


def told(store: ObservationStore, policy: CompiledPolicy) -> set[tuple[str, str]]:
    """Which topics each rule of this policy was used for; nothing of rules that it has not."""
    names = {rule: name for name, rule in fingerprints(policy.image).items()}
    return {(names[each.rule], each.topic) for each in store.uses() if each.rule in names}


async def test_a_use_is_of_the_rule_that_stood_there_when_it_was_counted(engine, store, journal):
    made = await watching(engine, store, journal)
    swapped = compiled(
        '[roles.a]\npermit = [{ action = "publish", filter = "b" }, { action = "publish", filter = "a" }]\n'
    )
    engine.observed = [shard(uses=[use("roles.a.permit[0]", "a")])]
    async with made.changing(swapped):
        assert told(store, swapped) == {("roles.a.permit[1]", "a")}
    engine.observed = [shard(uses=[use("roles.a.permit[0]", "b")])]
    await made.write()
    assert told(store, swapped) == {("roles.a.permit[1]", "a"), ("roles.a.permit[0]", "b")}


async def test_what_is_used_while_a_policy_takes_the_place_of_another_counts_for_both(engine, store, journal):
    made = await watching(engine, store, journal)
    other = compiled('[roles.a]\npermit = [{ action = "publish", filter = "c" }]\n')
    async with made.changing(other):
        engine.observed = [shard(uses=[use("roles.a.permit[0]", "t")])]
    assert told(store, IN_FORCE) == told(store, other) == {("roles.a.permit[0]", "t")}
    assert set(store.rules()) == set(fingerprints(other.image).values())


async def test_where_a_policy_does_not_take_the_place_the_one_before_stays_known(engine, store, journal):
    made = await watching(engine, store, journal)
    before = store.rules()
    with pytest.raises(InvalidValue):
        async with made.changing(compiled('[roles.a]\npermit = [{ action = "publish", filter = "c" }]\n')):
            raise InvalidValue("refused")
    assert store.rules() == before
    engine.observed = [shard(uses=[use("roles.a.permit[0]", "a")])]
    await made.write()
    assert told(store, IN_FORCE) == {("roles.a.permit[0]", "a")}


async def test_uses_that_the_store_did_not_take_are_lost_and_stop_no_change(engine, store, journal, monkeypatch):
    made = await watching(engine, store, journal)
    kept = store.write

    def refused(*_: object) -> None:
        raise StoreUnavailable("full")

    monkeypatch.setattr(store, "write", refused)
    engine.observed = [shard(uses=[use("roles.a.permit[0]", "a")]), shard(lost={"uses": 2})]
    async with made.changing(compiled('[roles.a]\npermit = [{ action = "publish", filter = "c" }]\n')):
        pass
    monkeypatch.setattr(store, "write", kept)
    engine.observed = [shard(denials=[row("a")])]
    await made.write()
    assert store.uses_lost() == (3, datetime.now(UTC).date())
    engine.observed = [shard(denials=[row("a")])]
    await made.write()
    assert store.uses_lost() == (3, datetime.now(UTC).date())


async def test_uses_are_written_less_often_and_whenever_all_is_asked_for(engine, store, journal, monkeypatch):
    made = await watching(engine, store, journal)
    await made.write_some()
    await made.write()
    monkeypatch.setattr("bartizan.broker.watching.USES_INTERVAL_S", -1.0)
    await made.write()
    await made.write_some()
    assert engine.uses_asked == [False, True, True, True]


async def test_a_staged_policy_is_told_to_the_engine_and_begins_with_no_differences(engine, store, journal):
    made = await watching(engine, store, journal)
    engine.observed = [shard(differences=[row("of the one before")])]
    staged = await made.stage(POLICY, later(1))
    (_, told) = engine.watched[-1]
    assert told is not None
    assert told.digest == staged.digest
    assert store.observations(Watched.DIFFERS) == []
    engine.observed = [shard(differences=[row("a")])]
    assert await made.unstage()
    assert engine.watched[-1] == ((), None)
    assert [each.topic for each in store.observations(Watched.DIFFERS)] == ["a"]
    assert not await made.unstage()


async def test_what_is_no_policy_is_not_staged(engine, store, journal):
    made = await watching(engine, store, journal)
    with pytest.raises(InvalidValue, match=r"p\.toml:1"):
        await made.stage((("p.toml", "[roles"),), None)
    assert store.fact("staged") is None


async def test_what_is_expected_of_a_staged_policy_is_kept_with_it_and_is_no_part_of_it(engine, store, journal):
    made = await watching(engine, store, journal)
    tested = (*POLICY, ("p.test.toml", "[tests.a]\n"))
    staged = await made.stage(tested, None)
    kept = Staged.kept(store.fact("staged"))
    assert kept is not None
    assert (kept.texts, kept.digest) == (tested, (await made.stage(POLICY, None)).digest)
    assert kept.digest == staged.digest


async def test_schemas_are_staged_with_their_policy_and_lead_nowhere_else(engine, store, journal):
    text = '[topics.a]\npublish = ["r"]\npayload = { format = "json", schema = "s/x.json" }\n[roles.r]\n'
    made = await watching(engine, store, journal)
    staged = await made.stage((("p.toml", text), ("s/x.json", '{"type": "number"}')), None)
    assert Staged.kept(store.fact("staged")) == staged
    with pytest.raises(InvalidValue, match=r"there is no file s/x\.json"):
        await made.stage((("p.toml", text),), None)
    for name in ("../x.json", "/x.json", "s/../x.json", "s/p.toml", "../p.toml", "s/x.proto/"):
        with pytest.raises(InvalidValue, match="such a name"):
            await made.stage((*POLICY, (name, "{}")), None)


async def test_both_outlive_a_restart(engine, store, journal):
    made = await watching(engine, store, journal)
    staged = await made.stage(POLICY, None)
    await made.learn(["mqtts"], later(1), "/somewhere/learned.toml")
    engine.watched.clear()
    await watching(engine, store, journal)
    ((listeners, told),) = engine.watched
    assert listeners == ("mqtts",)
    assert told is not None
    assert told.digest == staged.digest


async def test_both_end_in_time_and_what_was_seen_stays(engine, store, journal):
    made = await watching(engine, store, journal)
    await made.stage(POLICY, later(-1))
    await made.learn(["mqtts"], later(-1), "")
    engine.observed = [shard(learned=[row("a")], differences=[row("b")])]
    await made.write()
    assert engine.watched[-1] == ((), None)
    assert store.fact("staged") is None
    lesson = Session.kept(store.fact("lesson"))
    assert lesson is not None
    assert lesson.is_over
    assert len(store.observations(Watched.LEARNED)) == len(store.observations(Watched.DIFFERS)) == 1
    assert not await made.stop_learning()


async def test_a_new_lesson_forgets_the_one_before(engine, store, journal):
    made = await watching(engine, store, journal)
    await made.learn(["mqtts"], later(1), "")
    engine.observed = [shard(learned=[row("a")])]
    await made.learn(["mqtts"], later(1), "")
    assert store.observations(Watched.LEARNED) == []
    assert await made.stop_learning()


async def test_a_listener_that_is_not_there_is_told(engine, store, journal):
    made = await watching(engine, store, journal)
    with pytest.raises(InvalidValue, match="no listener wss: there is mqtts"):
        await made.learn(["wss"], later(1), "")


async def test_what_was_staged_and_is_a_policy_no_more_stops_no_broker(engine, store, journal):
    store.keep("staged", {"texts": [["p.toml", "[roles"]], "digest": "x", "since": "2026-11-21T00:00:00+00:00"})
    assert Staged.kept(store.fact("staged")) is not None
    await watching(engine, store, journal)
    assert engine.watched == [((), None)]


async def test_what_is_staged_and_learned_is_on_record_by_whom(engine, store, journal):
    made = await watching(engine, store, journal)
    await made.stage(POLICY, None, Actor("anna"))
    await made.unstage(Actor("berta"))
    await made.stage(POLICY, later(-1), Actor("anna"))
    await made.write()
    found = [
        (each["what"], each["who"]) for each in records(trail_beside(store).log.directory) if each["kind"] == "change"
    ]
    assert found == [
        ("policy.stage", "anna"),
        ("policy.unstage", "berta"),
        ("policy.stage", "anna"),
        # Its time is over.
        ("policy.unstage", "broker"),
    ]
