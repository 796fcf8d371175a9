"""Reads whole logs, of a broker or a copy of them, and names what is not as it was written.

altered     a line whose hash is not its own, or to which the next one is not chained
removed     numbers that are missing: in the middle, at the beginning, or at the end; a log, its head, the public key
reordered   a record that stands behind a later one
forged      a checkpoint or a head that the key did not sign, and records that were never signed though it was time

The end is known from the head. Whoever has the key can make another log, and whoever kept an older copy of all of it
can put that back: what shows that is a public key, and a record, that were kept somewhere else.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bartizan.audit.canonical import canonical
from bartizan.audit.damage import ALTERED, is_named
from bartizan.audit.head import HEAD, Head
from bartizan.audit.keys import PUBLIC_FILE, PublicKey, Purpose, public_key
from bartizan.audit.log import CHECKPOINT
from bartizan.audit.record import GENESIS, Kind, parsed
from bartizan.audit.retention import is_retired
from bartizan.audit.segments import LOGS, lines_of, segments
from bartizan.audit.unsigned import Unsigned, is_late

PROBLEMS_MAX = 100
"""Problems that are told one by one."""

OPEN_MAX = 1_000
"""Changes without an outcome that are told one by one."""

HEAD_READS_MAX: Final = 5
HEAD_PAUSE_S: Final = 0.02
"""A head that is being written while it is read is none: it is read again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a log something is."""

    segment: str
    """Or another file, or the directory."""
    line: int
    """0 where it is about the file as such."""
    seq: int | None = None
    """None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written."""

    place: Place
    what: str

    def __str__(self) -> str:
        seq = "" if self.place.seq is None else f", record {self.place.seq}"
        line = f", line {self.place.line}" if self.place.line else ""
        return f"{self.place.segment}{line}{seq}: {self.what}"


@dataclass(slots=True)
class Verified:
    """What was found in a log."""

    records: int = 0
    segments: int = 0
    checkpoints: int = 0
    first_seq: int = 0
    last_seq: int = 0
    last_hash: str = GENESIS
    signed_seq: int = 0
    """The last record that a good checkpoint, or the head, covers."""
    key: str = ""
    """The name of the key that the checkpoints were held against; empty if there was none."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open_changes: dict[int, str] = field(default_factory=dict)
    """Changes of which no outcome is on record."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        problems = [{**asdict(each.place), "problem": each.what} for each in self.problems]
        return {"whole": self.is_whole, **asdict(self), "problems": problems}


def verify_all(
    directory: Path, key: PublicKey | None = None, expected: Mapping[str, dict[int, str]] | None = None
) -> dict[str, Verified]:
    """Reads both logs of the record. `key`: one that was kept elsewhere, in place of the one that lies there."""
    signer = key or public_key(directory)
    return {name: verify(directory / name, signer, (expected or {}).get(name)) for name in LOGS}


def verify(directory: Path, key: PublicKey | None, expected: dict[int, str] | None = None) -> Verified:
    """Reads the log in a directory. `expected`: hashes of records that somebody kept elsewhere, by number."""
    reading = _Reading(directory, key, expected or {})
    for segment in segments(directory):
        reading.segment(segment)
    reading.end()
    return reading.found


def _head(directory: Path, key: PublicKey | None) -> tuple[Head | None, str]:
    """The head, and what is wrong with it; one that is not signed by the key is none."""
    wrong = ""
    for _ in range(HEAD_READS_MAX):
        head = Head.of(directory)
        if head is None:
            wrong = "is damaged" if (directory / HEAD).exists() else "is missing: removed"
        elif key is None or _is_signed(head, directory.name, key):
            return head, ""
        else:
            wrong = "is not signed by the key: forged"
        time.sleep(HEAD_PAUSE_S)
    return None, f"{wrong}. Nothing tells what was cut off behind the last checkpoint"


def _is_signed(head: Head, log: str, key: PublicKey) -> bool:
    return head.key == key.name and key.has_signed(head.statement(log), head.signature, Purpose.HEAD)


class _Reading:
    def __init__(self, directory: Path, key: PublicKey | None, expected: dict[int, str]) -> None:
        self.found = Verified(key=key.name if key else "")
        self._key = key
        self._expected = dict(expected)
        # Before the records: of a log that is being written, what comes meanwhile is not missed.
        self._directory = directory
        self._head, wrong = _head(directory, key)
        self._behind: tuple[dict[str, Any], dict[str, Any]] | None = None
        """The first and the last record behind the head."""
        if not directory.is_dir():
            self._problem(Place(directory.name, 0), "the log is missing: removed")
        elif wrong:
            self._problem(Place(HEAD, 0), wrong)
        if key is None:
            self._problem(Place(PUBLIC_FILE, 0), "there is no public key: no signature can be held against anything")
        self._unsigned = Unsigned()
        self._last: dict[str, Any] | None = None
        self._place = Place("", 0)
        self._first: dict[str, Any] | None = None
        self._first_place = Place("", 0)
        self._is_retired = False
        self._unread = b""
        """What stood in place of records since the last one."""
        self._unread_place = Place("", 0)

    def segment(self, segment: Path) -> None:
        self.found.segments += 1
        for number, line in enumerate(lines_of(segment), 1):
            fields = parsed(line)
            if fields is None:
                if not self._unread:
                    self._unread_place = Place(segment.name, number)
                self._unread += line
                continue
            place = Place(segment.name, number, fields["seq"])
            self._follow(fields, place)
            self._named(fields, place)
            self._take(fields, place)

    def end(self) -> None:
        self._ended_rightly()
        self._begun_rightly()
        for seq in sorted(self._expected):
            self._problem(Place(self._place.segment, self._place.line, seq), "is expected, and is not there")
        if unsigned := self.found.last_seq - self.found.signed_seq:
            self.found.notes.append(f"the last {unsigned} records are not signed yet")

    def _ended_rightly(self) -> None:
        head, last = self._head, self.found.last_seq
        if head is None:
            self._unnamed("is no record: a crash left it, or somebody altered it")
        elif head.seq > last:
            self._unnamed("was altered")
            which = f"record {head.seq} is" if head.seq == last + 1 else f"records {last + 1} to {head.seq} are"
            self._problem(self._place, f"{which} missing behind it: altered, or cut off")
        elif self._behind is not None and is_late(*self._behind) and not self._goes_on(head):
            self._problem(Place(HEAD, 0), "is older than the records, by more than a power cut explains: put back")
        elif self._unread:
            place = self._unread_place
            self.found.notes.append(f"{place.segment}, line {place.line}: being written, or what a crash left")

    def _goes_on(self, head: Head) -> bool:
        """Whether the log was written to meanwhile."""
        now, _ = _head(self._directory, self._key)
        return now is not None and now.seq > head.seq

    def _follow(self, fields: dict[str, Any], place: Place) -> None:
        """Says what is wrong if a record is not the one that follows the last."""
        if self._last is None:
            self._first, self._first_place = fields, place
            return
        last, seq = self._last, fields["seq"]
        if seq == last["seq"] + 1 and fields["previous"] == last["hash"]:
            return
        if seq == last["seq"] + 1:
            self._problem(
                self._place,
                f"is not the record that {seq} was chained to: one of them was replaced, with its hash made anew",
            )
        elif seq <= last["seq"]:
            self._problem(place, f"stands behind record {last['seq']}: reordered, or repeated")
        elif not self._unread:
            between = (
                f"record {seq - 1} is" if seq == last["seq"] + 2 else f"records {last['seq'] + 1} to {seq - 1} are"
            )
            self._problem(place, f"{between} missing before it: removed, or moved")

    def _named(self, fields: dict[str, Any], place: Place) -> None:
        """What could not be read before this record, unless it says that a crash left it."""
        if fields["what"] == ALTERED and fields["kind"] == Kind.EVENT:
            self._problem(place, _found_before(fields.get("detail", {})))
        elif self._unread and is_named(fields, self._unread):
            self.found.notes.append(f"{self._unread_place.segment}: record {place.seq} names a line that a crash left")
            self._unread = b""
        elif self._unread:
            self._unnamed(self._altered_words(fields))
        self._unread = b""

    def _altered_words(self, fields: dict[str, Any]) -> str:
        last = self._last["seq"] if self._last else fields["seq"] - 2
        missing = [last + 1, fields["seq"] - 1]
        if missing[0] == missing[1]:
            return f"record {missing[0]} was altered"
        return f"records {missing[0]} to {missing[1]} were altered" if missing[0] < missing[1] else "a line was put in"

    def _unnamed(self, what: str) -> None:
        if self._unread:
            self._problem(self._unread_place, what)
        self._unread = b""

    def _take(self, fields: dict[str, Any], place: Place) -> None:
        found = self.found
        found.records += 1
        found.first_seq = found.first_seq or fields["seq"]
        found.last_seq, found.last_hash = fields["seq"], fields["hash"]
        self._last, self._place = fields, place
        self._signed_by_head(fields, place)
        if (hash_ := self._expected.pop(fields["seq"], None)) is not None and hash_ != fields["hash"]:
            self._problem(place, "is another one than was expected: this log was made anew")
        if self._first is not None and fields["log"] != self._first["log"]:
            self._problem(place, "is a record of another log")
        if fields["what"] == CHECKPOINT:
            self._checkpoint(fields, place)
        elif why := self._unsigned.take(fields):
            self._problem(place, why)
        if self._first is not None and is_retired(fields, self._first):
            self._is_retired = True
        self._outcomes(fields)

    def _signed_by_head(self, fields: dict[str, Any], place: Place) -> None:
        head = self._head
        if head is not None and fields["seq"] > head.seq:
            self._behind = (self._behind[0] if self._behind else fields, fields)
        if head is None or fields["seq"] != head.seq:
            return
        if fields["hash"] != head.hash:
            self._problem(place, "is not the record that the head names: replaced")
        elif self._key is not None:
            self.found.signed_seq = max(self.found.signed_seq, head.seq)

    def _checkpoint(self, fields: dict[str, Any], place: Place) -> None:
        signed = {name: value for name, value in fields.items() if name not in {"hash", "key", "signature"}}
        if self._key is None:
            return
        if fields.get("key") != self._key.name:
            self._problem(place, f"was signed by another key ({str(fields.get('key'))[:12]})")
        elif not self._key.has_signed(canonical(signed), str(fields.get("signature")), Purpose.CHECKPOINT):
            self._problem(place, "its signature is not of this record: forged")
        else:
            self.found.checkpoints += 1
            self.found.signed_seq = max(self.found.signed_seq, fields["seq"])
            self._unsigned.signed(fields)

    def _outcomes(self, fields: dict[str, Any]) -> None:
        if fields["kind"] == Kind.CHANGE and len(self.found.open_changes) < OPEN_MAX:
            self.found.open_changes[fields["seq"]] = fields["what"]
        elif fields["kind"] == Kind.OUTCOME:
            for seq in _span(fields.get("of")):
                self.found.open_changes.pop(seq, None)

    def _begun_rightly(self) -> None:
        first = self._first
        if first is None or (first["seq"] == 1 and first["previous"] == GENESIS) or self._is_retired:
            return
        self._problem(self._first_place, f"records 1 to {first['seq'] - 1} are missing, and nothing says why: removed")

    def _problem(self, place: Place, what: str) -> None:
        if len(self.found.problems) < PROBLEMS_MAX:
            self.found.problems.append(Problem(place, what))


def _found_before(detail: Mapping[str, Any]) -> str:
    """What a broker found when it went on: it is on record since."""
    found = []
    if "head" in detail:
        found.append(f"the head was found {detail['head']}: what was before may be cut off or replaced")
    if "missing_from" in detail or not found:
        found.append(
            f"records {detail.get('missing_from')} to {detail.get('missing_to')} were found altered or cut off"
        )
    return "; ".join(found)


def _span(of: object) -> Iterator[int]:
    match of:
        case [int(first), int(last)]:
            yield from range(first, min(last, first + OPEN_MAX) + 1)
        case _:
            return
