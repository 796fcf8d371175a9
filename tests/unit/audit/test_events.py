"""Events in their log: each kind once with its count, never more than the bytes of a minute, never in anybody's way."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.events import ALIKE_MAX, BATCHES_MAX, TELL_LEFT_OUT_S, EventBook
from bartizan.audit.keys import SigningKey, public_key
from bartizan.audit.log import Keep, Log
from bartizan.audit.search import records
from bartizan.audit.segments import segments
from bartizan.audit.trail import Trail
from bartizan.audit.verify import verify
from bartizan.config.audit import AuditSettings
from bartizan.model.actor import Actor

AT_MS = 1_795_000_000_000
MINUTE = 4_096


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def wanted(kind: str) -> str | None:
    return None if kind == "connected" else "warning"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., EventBook]:
    def book(**words: Any) -> EventBook:
        settings = AuditSettings(**words)
        log = Log(tmp_path / "audit/events", SigningKey(tmp_path / "audit"), settings)
        return EventBook(log, settings, wanted, clock)

    return book


def denied(at: int = 0, **words: Any) -> Mapping[str, Any]:
    said = {"identity": "press-01", "client_id": "press-01", "address": "10.0.0.7:5001", "action": "publish"}
    return {"event": "denied", "at_ms": AT_MS + at, **said, "topic": "a/b", "why": "no_match", **words}


def told(book: EventBook) -> list[dict[str, Any]]:
    return [each for each in records(book.log.directory) if each["kind"] != "checkpoint"]


def test_an_event_is_told_with_who_from_where_and_when(make):
    book = make()
    book.write([[denied()]])
    [found] = told(book)
    assert (found["kind"], found["what"], found["who"], found["from"]) == (
        "event",
        "denied",
        "press-01",
        "10.0.0.7:5001",
    )
    assert (found["target"], found["why"]) == ("client/press-01", "no_match")
    assert datetime.fromisoformat(found["at"]) == datetime.fromtimestamp(AT_MS / 1000, UTC)
    assert found["detail"] == {"action": "publish", "topic": "a/b", "severity": "warning"}


def test_an_operator_who_logged_in_is_who_did_it_and_one_who_was_refused_has_only_said_a_name(make):
    book = make()
    said = {"at_ms": AT_MS, "address": "10.0.0.9", "way": "session"}
    ins = [{"event": "operator_logged_in", "operator": name, **said} for name in ("olga", "alice")]
    book.write([[*ins, {"event": "operator_refused", "operator": "olga", **said}]])
    found = [(each["what"], each["who"], each["from"]) for each in told(book)]
    assert found == [
        ("operator_logged_in", "olga", "10.0.0.9"),
        ("operator_logged_in", "alice", "10.0.0.9"),
        ("operator_refused", "unknown", "10.0.0.9"),
    ]


def test_what_is_not_wanted_is_not_there(make):
    book = make()
    book.write([[{"event": "connected", "at_ms": AT_MS}]])
    assert told(book) == []
    assert not book.log.directory.exists()


def test_alike_events_of_a_window_are_one_with_a_count_whatever_a_client_makes_up(make):
    book = make()
    book.write([[denied(at, client_id=f"c{at}", topic=f"t/{at}") for at in range(1_000)], [denied(reason="0x87")]])
    first, other = told(book)
    assert first["detail"]["count"] == 1_000
    assert datetime.fromisoformat(first["detail"]["last_at"]).timestamp() * 1000 == AT_MS + 999
    assert "count" not in other["detail"]


def test_a_flood_that_the_engine_counted_counts_in_full(make):
    book = make()
    repeated = {"event": "repeated", "at_ms": AT_MS, "kind": "denied", "about": "publish", "within_ms": 1_000}
    book.write([[repeated | {"count": 700}, repeated | {"count": 1_300}]])
    [found] = told(book)
    assert found["detail"]["count"] == 2_000


def test_of_too_many_kinds_the_rest_is_counted(make):
    book = make(event_bytes_per_minute_max=1_000_000_000)
    book.write([[denied(address=f"10.0.{at // 250}.{at % 250}:1") for at in range(ALIKE_MAX + 100)]])
    *_, last = told(book)
    assert len(told(book)) == ALIKE_MAX + 1
    assert (last["what"], last["detail"]) == ("events.left_out", {"count": {"denied": 100}})


def test_a_minute_has_its_bytes_and_the_next_one_has_them_again(make, clock):
    book = make(event_bytes_per_minute_max=MINUTE)
    for second in range(120):
        clock.at = float(second)
        book.write([[denied(address=f"10.0.0.{at}:{second}", why="w" * 100) for at in range(50)]])
    found = told(book)
    octets = sum(len(str(each)) for each in found if each["what"] == "denied")
    assert octets < 2 * MINUTE * 1.5
    left_out = [each for each in found if each["what"] == "events.left_out"]
    assert len(left_out) == 120 / TELL_LEFT_OUT_S
    told_in_all = sum(each["detail"]["count"]["denied"] for each in left_out)
    assert sum(each["what"] == "denied" for each in found) + told_in_all > 120 * 50 - TELL_LEFT_OUT_S * 50


def test_a_disk_that_takes_nothing_costs_events_and_is_told_later(make, clock):
    book = make()
    book.log.directory.parent.write_text("in the way")
    book.write([[denied(), denied()]])
    book.log.directory.parent.unlink()
    clock.at += TELL_LEFT_OUT_S
    book.write([])
    [found] = told(book)
    assert found["detail"] == {"count": {"denied": 2}}


def test_handing_over_never_waits_and_what_is_too_much_is_counted(make, clock):
    book = make()
    # Nothing takes it from there: who waited would wait for ever.
    for _ in range(BATCHES_MAX + 10):
        book.take([denied(), denied()])
    book.write([], at_end=True)
    assert told(book)[-1]["detail"] == {"count": {"unread": 20}}


def test_the_thread_writes_what_it_is_told_and_ends_with_everything_written(make):
    book = make()
    book._clock = time.monotonic
    book.start()
    for at in range(20):
        book.take([denied(at, why=f"w{at}")])
    book.close()
    assert sorted(each["why"] for each in told(book)) == sorted(f"w{at}" for at in range(20))
    assert verify(book.log.directory, public_key(book.log.directory.parent)).is_whole


def test_a_flood_neither_fills_the_disk_nor_holds_up_or_loses_a_change(make, tmp_path):
    book = make(event_bytes_per_minute_max=MINUTE)
    book._clock = time.monotonic
    book.start()
    stop = threading.Event()
    handed_over = 0

    def flood() -> None:
        nonlocal handed_over
        while not stop.is_set():
            # As many as the engine gives in one turn; each from an address and for a reason of its own.
            book.take([denied(address=f"10.{handed_over % 250}.0.{at % 250}:1", why=f"w{at}") for at in range(512)])
            handed_over += 512
            time.sleep(0.01)

    flooding = threading.Thread(target=flood)
    flooding.start()
    trail = Trail.of(tmp_path / "audit", AuditSettings(), Actor("anna"))
    waits: list[float] = []
    for number in range(30):
        began = time.monotonic()
        with trail.changing("identity.set", f"identity/{number}"):
            pass
        waits.append(time.monotonic() - began)
        time.sleep(0.05)
    stop.set()
    flooding.join()
    book.close()
    assert handed_over > 20_000
    assert sum(file.stat().st_size for file in book.log.directory.iterdir()) < 8 * MINUTE
    changes = [each for each in records(trail.log.directory) if each["kind"] == "change"]
    assert [each["target"] for each in changes] == [f"identity/{number}" for number in range(30)]
    assert sorted(waits)[len(waits) // 2] < 0.5
    assert any(each["what"] == "events.left_out" for each in told(book))


def test_the_oldest_files_give_way_to_new_ones(tmp_path):
    settings = AuditSettings(segment_bytes_max=65_536, events_bytes_max=1_048_576)
    log = Log(tmp_path / "audit/events", SigningKey(tmp_path / "audit"), settings, Keep(90, 200_000))
    book = EventBook(log, AuditSettings(event_bytes_per_minute_max=1_000_000_000), wanted)
    for second in range(40):
        book.write([[denied(address=f"10.0.0.{at}:{second}", why="w" * 200) for at in range(20)]])
    before = len(segments(log.directory))
    assert log.retire() != ()
    assert len(segments(log.directory)) < before
    assert sum(segment.stat().st_size for segment in segments(log.directory)[:-1]) <= 200_000
    assert verify(log.directory, public_key(tmp_path / "audit")).is_whole
