"""The log: what is appended stands there, chained and signed, whoever else appends, and whatever a crash left."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit import log as log_module
from bartizan.audit.canonical import canonical, plain
from bartizan.audit.cursor import Cursor, near_end, read_on
from bartizan.audit.keys import SigningKey, public_key
from bartizan.audit.log import Log
from bartizan.audit.record import GENESIS, LINE_BYTES_MAX, Entry, Kind
from bartizan.audit.search import Wanted, record, records
from bartizan.audit.segments import segments
from bartizan.audit.verify import verify
from bartizan.config.audit import AuditSettings
from bartizan.errors import StoreUnavailable
from bartizan.model.actor import Actor

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SMALL = AuditSettings(segment_bytes_max=65_536)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., Log]:
    """A log in the test's directory, as any process opens it."""

    def open_log(settings: AuditSettings = SMALL) -> Log:
        return Log(tmp_path / "audit/changes", SigningKey(tmp_path / "audit"), settings, now=clock)

    return open_log


def entry(target: str = "identity/a", **words: Any) -> Entry:
    return Entry(Kind.CHANGE, "identity.set", Actor("anna"), target, **words)


def whole(log: Log) -> bool:
    found = verify(log.directory, public_key(log.directory.parent))
    assert found.checkpoints > 0
    return found.is_whole


def test_records_are_chained_and_the_first_checkpoint_comes_at_once(make):
    log = make()
    assert log.append([entry(), entry("identity/b")]) == (1, 2)
    found = list(records(log.directory))
    assert [each["kind"] for each in found] == ["change", "change", "checkpoint"]
    assert [each["previous"] for each in found] == [GENESIS, found[0]["hash"], found[1]["hash"]]
    assert found[0]["who"] == "anna"
    assert whole(log)


def test_nothing_is_made_before_something_is_recorded(make, tmp_path):
    make().checkpoint()
    make().retire()
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(make, tmp_path):
    make().append([entry()])
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "audit", *(tmp_path / "audit").rglob("*")]}
    assert modes.pop("audit") == modes.pop("changes") == modes.pop("events") == 0o700
    assert set(modes.values()) == {0o600}


def test_another_process_goes_on_where_one_stopped(make):
    make().append([entry()])
    make().append([entry()])
    log = make()
    assert [each["seq"] for each in records(log.directory)] == [1, 2, 3]
    assert whole(log)


def test_checkpoints_come_by_time_and_by_number(make, clock):
    log = make(AuditSettings(checkpoint_interval_s=60, checkpoint_records_max=5))
    log.append([entry()])
    for _ in range(4):
        log.append([entry()])
    clock.at += timedelta(seconds=61)
    log.checkpoint()
    log.checkpoint()
    found = [(each["seq"], each["why"]) for each in records(log.directory) if each["kind"] == "checkpoint"]
    assert found == [(2, "interval"), (7, "interval")]
    for _ in range(5):
        log.append([entry()])
    assert [each["why"] for each in records(log.directory) if each["kind"] == "checkpoint"][2:] == ["records"]
    assert whole(log)


def test_a_full_segment_is_signed_and_followed_by_the_next(make):
    log = make()
    for _ in range(300):
        log.append([entry(after={"note": "n" * 500})])
    names = segments(log.directory)
    assert len(names) > 2
    for segment in names[:-1]:
        last = json.loads(segment.read_bytes().splitlines()[-1])
        assert (last["kind"], last["why"]) == ("checkpoint", "rotation")
    assert [int(segment.stem) for segment in names] == [
        json.loads(segment.read_bytes().splitlines()[0])["seq"] for segment in names
    ]
    assert whole(log)


def test_a_crash_right_after_a_segment_was_made_loses_nothing(make):
    log = make()
    log.append([entry()])
    (log.directory / "000000000003.jsonl").touch()
    make().append([entry()])
    assert [each["seq"] for each in records(log.directory)] == [1, 2, 3]
    assert whole(log)


@pytest.mark.parametrize("torn", [b'{"at":"2026', b"\0" * 100, b"\n\n\nx", b'{"seq":4}\n'])
def test_what_a_crash_left_is_named_and_stays(make, torn):
    log = make()
    log.append([entry()])
    [segment] = segments(log.directory)
    before = segment.read_bytes()
    segment.write_bytes(before + torn)
    log.append([entry()])
    assert segment.read_bytes().startswith(before + torn)
    named = record(log.directory, 3)
    assert named is not None
    assert named["what"] == "audit.torn"
    assert whole(log)


def test_what_was_cut_off_is_named_and_no_number_is_given_twice(make):
    log = make()
    log.append([entry()])
    log.append([entry(), entry()])
    [segment] = segments(log.directory)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:3]))
    first, _ = make().append([entry()])
    assert first == 6
    altered = record(log.directory, 5)
    assert altered is not None
    assert (altered["what"], altered["detail"]["missing_from"]) == ("audit.altered", 4)
    found = verify(log.directory, public_key(log.directory.parent))
    assert not found.is_whole
    assert any("cut off" in each.what for each in found.problems)


def test_a_disk_that_is_full_refuses_and_leaves_no_half_of_it(make, monkeypatch):
    log = make()
    log.append([entry()])
    [segment] = segments(log.directory)
    before = segment.read_bytes()

    def half(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log_module, "write_all", half)
    with pytest.raises(StoreUnavailable, match=r"No space left on device.*nothing was changed"):
        log.append([entry()])
    monkeypatch.undo()
    assert segment.read_bytes() == before
    assert log.append([entry()]) == (3, 3)
    assert whole(log)


def test_records_are_on_disk_before_the_call_returns(make, monkeypatch):
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    log = make()
    log.append([entry()])
    monkeypatch.setattr(os, "fsync", noted)
    log.append([entry()])
    assert synced == ["000000000001.jsonl"]


def test_several_processes_write_one_log(make, tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bartizan.model.actor import Actor\n"
        "from bartizan.audit.trail import Trail\n"
        "from bartizan.config.audit import AuditSettings\n"
        "trail = Trail.of(Path(sys.argv[1]), AuditSettings(segment_bytes_max=65536), Actor(sys.argv[2]))\n"
        "for number in range(60):\n"
        "    with trail.changing('identity.set', f'identity/{number}', after={'note': 'n' * 400}):\n"
        "        pass\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "audit")]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    log = make()
    found = list(records(log.directory))
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
    assert sum(each["kind"] == "change" for each in found) == 180
    checked = verify(log.directory, public_key(log.directory.parent))
    assert checked.is_whole, checked.problems
    assert checked.open_changes == {}


def test_old_segments_go_on_record_and_the_log_still_verifies(make, clock):
    log = make(AuditSettings(segment_bytes_max=65_536, keep_days=30))
    for _ in range(300):
        log.append([entry(after={"note": "n" * 500})])
    there = [segment.name for segment in segments(log.directory)]
    clock.at += timedelta(days=31)
    assert log.retire() == tuple(there[:-1])
    assert [segment.name for segment in segments(log.directory)] == there[-1:]
    assert whole(log)
    last = list(records(log.directory, Wanted(what="audit.retired")))
    assert last[0]["detail"]["segments"] == there[:-1]
    assert log.retire() == ()


def test_a_segment_without_a_signature_at_its_end_does_not_go(make, clock):
    log = make(AuditSettings(segment_bytes_max=65_536, keep_days=30))
    for _ in range(300):
        log.append([entry(after={"note": "n" * 500})])
    first = segments(log.directory)[0]
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    clock.at += timedelta(days=31)
    assert log.retire() == ()
    assert first.exists()


def test_who_removes_the_oldest_by_hand_is_found_out(make):
    log = make()
    for _ in range(300):
        log.append([entry(after={"note": "n" * 500})])
    segments(log.directory)[0].unlink()
    assert not whole(log)


def test_a_line_that_is_too_long_is_told_by_its_hash(make):
    log = make()
    log.append([entry(after={"note": "n" * LINE_BYTES_MAX})])
    first = record(log.directory, 1)
    assert first is not None
    assert set(first["after"]) == {"octets", "sha256"}
    assert whole(log)


def test_reading_on_finds_each_record_once(make):
    log = make()
    cursor, seen = Cursor(), []
    for number in range(40):
        log.append([entry(f"identity/{number}", after={"note": "n" * 4_000})])
        for each, reached in read_on(log.directory, cursor):
            seen.append(each["seq"])
            cursor = reached
    assert len(segments(log.directory)) > 1
    assert seen == [each["seq"] for each in records(log.directory)]
    assert [each["seq"] for each, _ in read_on(log.directory, near_end(log.directory, 3))] == seen[-3:]


def test_a_record_that_the_head_does_not_name_yet_is_not_read(make):
    log = make()
    log.append([entry()])
    head = (log.directory / "head").read_bytes()
    log.append([entry()])
    (log.directory / "head").write_bytes(head)
    assert [each["seq"] for each, _ in read_on(log.directory, Cursor())] == [1, 2]


def test_a_search_finds_by_every_word(make, clock):
    log = make()
    log.append([entry("identity/press-01", after={"note": "Hall 3"}), entry("group/line-3", why="ticket 7")])
    clock.at += timedelta(hours=1)
    log.append([Entry(Kind.OUTCOME, "identity.set", Actor("berta"), outcome="failed", of=(1, 2))])

    def found(**words: Any) -> list[int]:
        return [each["seq"] for each in records(log.directory, Wanted(**words))]

    assert found(target="press-*") == found(target="identity/press-01") == [1]
    assert found(what="identity.*", kind="change") == [1, 2]
    assert found(who="b?rta") == found(outcome="failed") == [4]
    assert found(since=AT + timedelta(minutes=1), kind="outcome") == [4]
    assert found(until=AT + timedelta(minutes=1)) == [1, 2, 3]
    assert found(text="hall 3") == [1]
    assert found(text="TICKET") == [2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, 3.2.2.2: what is escaped, and how.
        ({"b": '\x0f\n"\\/€', "a": [1, True, None]}, '{"a":[1,true,null],"b":"\\u000f\\n\\"\\\\/€"}'),
        ({"n": 2**53 - 1}, '{"n":9007199254740991}'),
        ({"n": 2**60}, '{"n":"1152921504606846976"}'),
        ({"x": 1.5, "t": (1, 2)}, '{"t":[1,2],"x":"1.5"}'),
        ({"ä": "\udc80"}, '{"\\\\xe4":"\\\\udc80"}'),
    ],
)
def test_a_value_has_one_spelling(value, text):
    assert canonical(plain(value)).decode() == text
