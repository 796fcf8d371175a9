"""Records read forwards and backwards: the same ones, damage or not, however they lie in files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.audit.record import GENESIS, LINE_BYTES_MAX, Entry, Kind, line_of
from bartizan.audit.search import Wanted, latest, records
from bartizan.model.actor import Actor

AT = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
RECORDS = 900
PER_SEGMENT = 400


def line(seq: int) -> bytes:
    who = Actor("anna" if seq % 3 else "berta", "10.0.0.7:5001")
    entry = Entry(Kind.CHANGE, "identity.set", who, f"identity/press-{seq}", why="\N{SNOWMAN}" * (seq % 200))
    return line_of(entry.fields("changes", seq, AT, GENESIS)).content


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("search")
    for first in range(1, RECORDS + 1, PER_SEGMENT):
        lines = [line(seq) for seq in range(first, min(first + PER_SEGMENT, RECORDS + 1))]
        # Nothing of this is a record: an altered one, one longer than any, and in the last file one cut off.
        lines[7] = lines[7].replace(b"press", b"robot")
        lines.insert(9, b"x" * (3 * LINE_BYTES_MAX) + b"\n")
        lines.insert(11, b"\r\n")
        lines[-1] = lines[-1][:-20] if first + PER_SEGMENT > RECORDS else lines[-1]
        (directory / f"{first:012}.jsonl").write_bytes(b"".join(lines))
    return directory


@pytest.mark.parametrize(
    "wanted",
    [None, Wanted(who="berta"), Wanted(text="PRESS-80"), Wanted(target="press-1?"), Wanted(who="nobody")],
)
def test_backwards_are_the_same_records(log, wanted):
    forwards = [each["seq"] for each in records(log, wanted)]
    assert [each["seq"] for each in latest(log, wanted)] == forwards[::-1]
    assert len(forwards) == len(set(forwards))


def test_all_that_are_whole_are_found(log):
    altered = {8, PER_SEGMENT + 8, 2 * PER_SEGMENT + 8}
    assert {each["seq"] for each in latest(log)} == set(range(1, RECORDS)) - altered


@pytest.mark.parametrize("seq", [0, 1, 2, 399, 400, 401, 402, 899, 900, 5_000])
def test_behind_one_and_before_it_is_all_but_itself(log, seq):
    behind = [each["seq"] for each in records(log, None, seq)]
    before = [each["seq"] for each in latest(log, None, seq)]
    every = [each["seq"] for each in records(log)]
    assert before[::-1] == [one for one in every if one < seq]
    assert behind == [one for one in every if one > seq]


def test_a_log_that_is_not_there_has_none(tmp_path):
    assert list(latest(tmp_path / "none")) == []
