"""Observations: added up, numbered once and for ever, bounded, and there for any process."""

import stat
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.errors import StoreUnavailable
from bartizan.model.observation import RuleUse, Watched
from bartizan.store.observations import ObservationStore

TODAY = date(2026, 11, 21)
AT_MS = int(datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp() * 1000)


def row(topic: str, **more: Any) -> dict[str, Any]:
    return {
        "identity": "press-01",
        "client_id": "press-01",
        "listener": "mqtts",
        "action": "publish",
        "topic": topic,
        "rule": None,
        "why": "no_permit",
        "staged_rule": None,
        "staged_why": "",
        "qos": 0,
        "retain": False,
        "bytes": 2,
        "count": 1,
        "first_ms": AT_MS,
        "last_ms": AT_MS,
    } | more


def shard(**tables: Any) -> dict[str, Any]:
    lost = {"uses": 0, "denials": 0, "differences": 0, "learned": 0} | tables.pop("lost", {})
    return {"uses": [], "denials": [], "differences": [], "learned": [], "lost": lost} | tables


def use(
    rule: str, topic: str, identity: str = "press-01", *, client_id: str = "", several: bool = False
) -> dict[str, Any]:
    return {"identity": identity, "client_id": client_id or identity, "rule": rule, "topic": topic, "several": several}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observations.sqlite"


def test_requests_of_one_kind_are_added_up_and_keep_their_number(path):
    store = ObservationStore(path)
    store.write([shard(denials=[row("a", qos=1, bytes=9)]), shard(denials=[row("b")])], TODAY)
    (first, _) = store.observations(Watched.DENIED)
    store.write([shard(denials=[row("a", count=4, retain=True, client_id="press-01-b", last_ms=AT_MS + 5000)])], TODAY)
    found = ObservationStore(path).observation(first.number)
    assert found is not None
    assert (found.topic, found.count, found.qos, found.retain, found.bytes) == ("a", 5, 1, True, 9)
    assert (found.client_id, (found.last_at - found.first_at).total_seconds()) == ("press-01-b", 5)
    assert [each.topic for each in store.observations(Watched.DENIED)] == ["b", "a"]


def test_one_rule_or_action_more_is_another_kind(path):
    store = ObservationStore(path)
    same = [row("a"), row("a", rule="r"), row("a", action="will"), row("a", identity="press-02"), row("a")]
    store.write([shard(denials=same)], TODAY)
    assert [each.count for each in store.observations(Watched.DENIED)] == [2, 1, 1, 1]
    # Clients of one identity are told apart where the Client Identifier is what is learned.
    learned = [row("a", why="permitted"), row("a", why="permitted", client_id="other")]
    store.write([shard(learned=learned)], TODAY)
    assert len(store.observations(Watched.LEARNED)) == 2


def test_of_one_identity_or_since_a_time_only_those(path):
    store = ObservationStore(path)
    store.write([shard(denials=[row("a"), row("b", identity="x", last_ms=AT_MS + 60_000)])], TODAY)
    later = datetime.fromtimestamp((AT_MS + 1) / 1000, UTC)
    assert [each.topic for each in store.observations(Watched.DENIED, since=later)] == ["b"]
    assert [each.topic for each in store.observations(Watched.DENIED, identity="press-01")] == ["a"]


def test_the_oldest_denials_give_way_and_no_number_is_given_twice(path):
    store = ObservationStore(path, kinds_max=dict.fromkeys(Watched, 3))
    for n in range(5):
        store.write([shard(denials=[row(f"t/{n}", last_ms=AT_MS + n)])], TODAY)
    found = store.observations(Watched.DENIED)
    assert [each.topic for each in found] == ["t/2", "t/3", "t/4"]
    assert store.observation(1) is None
    store.forget(Watched.DENIED)
    store.write([shard(denials=[row("t/0")])], TODAY)
    assert [each.number for each in store.observations(Watched.DENIED)] == [6]


@pytest.mark.parametrize(("watched", "table"), [(Watched.LEARNED, "learned"), (Watched.DIFFERS, "differences")])
def test_what_is_learned_or_differs_is_not_dropped_for_what_is_new_but_that_is_counted(path, watched, table):
    store = ObservationStore(path, kinds_max=dict.fromkeys(Watched, 2))
    rows = [row(f"t/{n}", count=2) for n in range(4)]
    store.write([shard(**{table: rows}, lost={table: 7})], TODAY)
    store.write([shard(**{table: [row("t/0")]})], TODAY)
    assert [(each.topic, each.count) for each in store.observations(watched)] == [("t/0", 3), ("t/1", 2)]
    assert store.lost(watched) == 2 * 2 + 7
    store.forget(watched)
    assert (store.observations(watched), store.lost(watched)) == ([], 0)


def test_of_a_use_the_last_is_kept_and_when_it_was_last_another(path):
    store = ObservationStore(path)
    days = [date(2026, 11, day) for day in (1, 2, 3, 4)]
    store.write([shard(uses=[use("same", "a"), use("topic", "a"), use("client", "a"), use("at-once", "a")])], days[0])
    again = [use("topic", "b"), use("client", "a", client_id="x"), use("at-once", "a", several=True)]
    store.write([shard(uses=[use("same", "a"), *again])], days[1])
    store.write([shard(uses=[use("topic", "b")])], days[2])
    assert sorted(store.uses(), key=lambda each: each.rule) == [
        RuleUse("press-01", "press-01", "at-once", "a", days[1], days[1]),
        RuleUse("press-01", "x", "client", "a", days[1], days[0]),
        RuleUse("press-01", "press-01", "same", "a", days[1], None),
        RuleUse("press-01", "press-01", "topic", "b", days[2], days[0]),
    ]
    (topic,) = [each for each in store.uses() if each.rule == "topic"]
    assert [topic.is_of_several(day) for day in days] == [True, False, False, False]


def test_of_a_broker_that_did_not_end_in_order_uses_are_missing(path):
    store = ObservationStore(path)
    store.opened(date(2026, 11, 1))
    store.closed()
    store.opened(date(2026, 11, 2))
    assert store.uses_lost() is None
    store.opened(TODAY)
    assert store.uses_lost() == (1, TODAY)


def test_it_is_known_since_when_a_rule_is_in_force(path):
    store = ObservationStore(path)
    first, later = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 9))
    store.rules_are(["a", "b"], first)
    store.rules_are(["b", "c"], later)
    assert store.rules() == {"b": first, "c": later}
    # What was gone and has come back was not watched meanwhile.
    store.rules_are(["a", "b"], later)
    assert store.rules() == {"a": later, "b": first}
    assert store.uses_since() == first


def test_the_longest_unused_give_way_and_that_is_told(path):
    store = ObservationStore(path, uses_max=2)
    for day, rule in enumerate("abc", start=1):
        store.write([shard(uses=[use(rule, "t")])], date(2026, 11, day))
    assert {each.rule for each in store.uses()} == {"b", "c"}
    assert store.uses_lost() == (1, date(2026, 11, 1))
    store.write([shard(lost={"uses": 4})], TODAY)
    store.write([shard()], date(2026, 11, 22))
    assert store.uses_lost() == (5, TODAY)


def test_nothing_is_made_by_looking_and_the_file_is_its_owners(path):
    store = ObservationStore(path)
    assert (store.observations(Watched.DENIED), store.uses(), store.observation(1)) == ([], [], None)
    assert (store.rules(), store.uses_since(), store.uses_lost()) == ({}, None, None)
    assert not path.exists()
    store.keep("staged", {"texts": [["a", "b"]]})
    assert store.fact("staged") == {"texts": [["a", "b"]]}
    store.keep("staged", None)
    assert store.fact("staged") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_told(path):
    path.write_text("no database, whatever its name says" * 100)
    with pytest.raises(StoreUnavailable, match=r"observations\.sqlite"):
        ObservationStore(path).write([shard()], TODAY)
