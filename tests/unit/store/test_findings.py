"""Findings on record: the same one counts on, people's words about it stay, mutes end, and there is a bound."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.errors import NotFound, StoreUnavailable
from bartizan.model.finding import About, Finding, Mute, Severity, State
from bartizan.store.findings import SAME_S, FindingStore

NOW_S = datetime(2026, 11, 16, 12, tzinfo=UTC).timestamp()
NOW = datetime.fromtimestamp(NOW_S, UTC)


def finding(name: str = "press-01", at_s: float = NOW_S, score: int = 50, detector: str = "topic_scan") -> Finding:
    return Finding(detector, About.IDENTITY, name, score, f"{name} at {score}", at_s, "T0861")


@pytest.fixture
def store(tmp_path: Path) -> FindingStore:
    return FindingStore(tmp_path / "findings.sqlite", findings_max=100)


def mute(store: FindingStore, *, name: str = "", until: datetime = NOW + timedelta(hours=1)) -> Mute:
    about = About.IDENTITY if name else None
    return store.mute(Mute(0, "topic_scan", about, name, "new antenna", "ann", NOW, until))


def test_nothing_was_found_yet(store: FindingStore) -> None:
    assert (store.findings(), store.mutes(NOW), store.remembered("novelty")) == ([], [], {})
    assert store.counts() == dict.fromkeys(Severity, 0)


def test_what_is_new_is_told_and_kept(store: FindingStore) -> None:
    (told,) = store.put([finding()])
    assert (told.number, told.finding, told.state, told.count) == (1, finding(), State.OPEN, 1)
    assert store.findings() == [told]
    assert store.finding(1) == told
    assert store.counts()[Severity.MEDIUM] == 1


def test_the_same_again_counts_on_and_is_told_again_only_if_it_got_much_worse(store: FindingStore) -> None:
    store.put([finding()])
    assert store.put([finding(at_s=NOW_S + 300, score=60)]) == []
    (worse,) = store.put([finding(at_s=NOW_S + 600, score=85)])
    assert (worse.number, worse.count, worse.finding.score, worse.finding.text) == (1, 3, 85, "press-01 at 85")
    assert (worse.first_at, worse.last_at) == (NOW, NOW + timedelta(minutes=10))


def test_long_after_it_is_another_one(store: FindingStore) -> None:
    (first,) = store.put([finding()])
    (second,) = store.put([finding(at_s=NOW_S + SAME_S + 1)])
    assert second.number > first.number


def test_what_is_acknowledged_stays_so_unless_it_gets_much_worse(store: FindingStore) -> None:
    store.put([finding(), finding("press-02")])
    (seen,) = store.acknowledge([1], "ann", "the integrator")
    assert (seen.state, seen.by, seen.why) == (State.ACKNOWLEDGED, "ann", "the integrator")
    assert store.put([finding(at_s=NOW_S + 60, score=69)]) == []
    assert store.finding(1).state is State.ACKNOWLEDGED
    (worse,) = store.put([finding(at_s=NOW_S + 120, score=90)])
    assert (worse.number, worse.state, worse.by) == (1, State.OPEN, "")
    assert [each.number for each in store.findings([State.OPEN])] == [2, 1]


def test_a_number_that_is_not_there_acknowledges_none(store: FindingStore) -> None:
    store.put([finding()])
    with pytest.raises(NotFound, match="9"):
        store.acknowledge([1, 9], "ann", "why")
    assert store.finding(1).state is State.OPEN
    with pytest.raises(NotFound, match="9"):
        store.finding(9)


def test_what_is_muted_is_kept_and_not_told_until_the_mute_ends(store: FindingStore) -> None:
    store.put([finding(at_s=NOW_S - 1)])
    made = mute(store)
    assert store.finding(1).state is State.MUTED
    assert store.put([finding(), finding("press-02")]) == []
    assert [each.why for each in store.findings([State.MUTED])] == ["new antenna"] * 2
    assert store.mutes(NOW) == [made]
    assert store.mutes(made.until) == []
    assert [each.state for each in store.put([finding(at_s=NOW_S + 3_601)])] == [State.OPEN]


def test_a_mute_of_one_thing_holds_for_that_alone(store: FindingStore) -> None:
    mute(store, name="press-01")
    told = store.put([finding(), finding("press-02"), finding(detector="decoy")])
    assert [(each.finding.detector, each.finding.name) for each in told] == [
        ("topic_scan", "press-02"),
        ("decoy", "press-01"),
    ]


def test_an_ended_mute_mutes_no_more(store: FindingStore) -> None:
    made = mute(store)
    assert store.unmute(made.number) == made
    assert len(store.put([finding()])) == 1
    with pytest.raises(NotFound, match="1"):
        store.unmute(made.number)


def test_those_seen_to_give_way_first_and_then_the_least_bad(store: FindingStore) -> None:
    store.put([finding("seen", score=100), finding("bad", score=95)])
    store.acknowledge([1], "ann", "why")
    store.put([finding(f"flood-{number}", score=10, at_s=NOW_S + number) for number in range(500)])
    kept = store.findings()
    assert len(kept) == 100
    assert {each.finding.name for each in kept} >= {"bad", "flood-499"}
    assert "seen" not in {each.finding.name for each in kept}


def test_memory_is_kept_by_detector_and_name_and_what_is_none_is_gone(store: FindingStore) -> None:
    store.remember("novelty", {"a": {"hours": 3}, "b": {"hours": 4}})
    store.remember("novelty", {"a": None, "b": {"hours": 5}})
    store.remember("other", {"b": 1})
    assert store.remembered("novelty") == {"b": {"hours": 5}}


def test_the_file_is_its_owners_alone(store: FindingStore, tmp_path: Path) -> None:
    store.put([finding()])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "findings.sqlite").write_text("no database, but long enough to be looked at as if it were one" * 9)
    with pytest.raises(StoreUnavailable, match="findings"):
        FindingStore(tmp_path / "findings.sqlite").findings()
