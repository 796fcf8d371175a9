"""The records that somebody asks for, in order."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bartizan.audit.record import parsed
from bartizan.audit.segments import lines_backwards, lines_of, segments

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record must be like; None: whatever it is. Words are patterns: `*` and `?` stand for any characters."""

    who: str | None = None
    what: str | None = None
    target: str | None = None
    kind: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    """Somewhere in it, whatever the case of its letters."""

    def fits(self, record: Record) -> bool:
        """Whether it is one of these."""
        at = datetime.fromisoformat(record["at"])
        return (
            _fits(self.who, record.get("who", ""))
            and _fits(self.what, record["what"])
            and _fits_target(self.target, record.get("target", ""))
            and self.kind in {None, record["kind"]}
            and self.outcome in {None, record.get("outcome", "")}
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def records(directory: Path, wanted: Wanted | None = None, after: int = 0) -> Iterator[dict[str, Any]]:
    """The records of a log behind this number, that are as they were written. Whether all are, `verify` tells."""
    lines = (line for segment in _holding(directory, after) for line in lines_of(segment))
    return (each for each in _fitting(lines, wanted) if each["seq"] > after)


def latest(directory: Path, wanted: Wanted | None = None, before: int | None = None) -> Iterator[dict[str, Any]]:
    """As `records`, the newest first: all of them, or those before this number."""
    holding = [each for each in segments(directory) if before is None or int(each.stem) < before]
    lines = (line for segment in reversed(holding) for line in lines_backwards(segment))
    return (each for each in _fitting(lines, wanted) if before is None or each["seq"] < before)


def record(directory: Path, seq: int) -> dict[str, Any] | None:
    """The record of this number."""
    return next((each for each in records(directory, None, seq - 1) if each["seq"] == seq), None)


def _fitting(lines: Iterable[bytes], wanted: Wanted | None) -> Iterator[dict[str, Any]]:
    needle = None if wanted is None or wanted.text is None else re.compile(re.escape(wanted.text), re.IGNORECASE)
    for line in lines:
        if needle is not None and not needle.search(line.decode(errors="replace")):
            continue
        fields = parsed(line)
        if fields is not None and (wanted is None or wanted.fits(fields)):
            yield fields


def _holding(directory: Path, after: int) -> list[Path]:
    """The segments that hold records behind this number."""
    every = segments(directory)
    first = max((at for at, each in enumerate(every) if int(each.stem) <= after + 1), default=0)
    return every[first:]


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or fnmatchcase(text, pattern)


def _fits_target(pattern: str | None, target: str) -> bool:
    """A target is `identity/press-01`: its name alone is enough."""
    return _fits(pattern, target) or _fits(pattern, target.partition("/")[2])
