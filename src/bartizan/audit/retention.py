"""Which segments are old enough to go: whole, signed at their end, the oldest first, and never the newest.

That they go is on record before they are gone, with the hash that the next one is chained to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bartizan.audit.record import Entry, Kind, parsed
from bartizan.audit.segments import last_line, lines_of, segments, sync_directory
from bartizan.model.actor import BROKER

RETIRED: Final = "audit.retired"


@dataclass(frozen=True, slots=True)
class Gone:
    """A segment that is to go."""

    path: Path
    first_seq: int
    last_seq: int
    last_hash: str
    octets: int


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a sink has not had yet: it is kept beyond its time, while the log is no larger than this."""

    had_seq: int
    """The last record that every sink has had."""
    bytes_max: int


def outdated(
    directory: Path, before: datetime, bytes_max: int | None = None, awaited: Awaited | None = None
) -> list[Gone]:
    """The segments whose last record is older than this, and the oldest of those that are too much together."""
    found: list[Gone] = []
    every = segments(directory)
    octets = sum(segment.stat().st_size for segment in every)
    for segment in every[:-1]:
        first, last = parsed(next(lines_of(segment), b"")), parsed(last_line(segment))
        # What is damaged stays: it is evidence.
        if first is None or last is None or last["kind"] != Kind.CHECKPOINT:
            break
        is_much = bytes_max is not None and octets > bytes_max
        if not is_much and datetime.fromisoformat(last["at"]) >= before:
            break
        if awaited is not None and last["seq"] > awaited.had_seq and octets <= awaited.bytes_max:
            break
        found.append(Gone(segment, first["seq"], last["seq"], last["hash"], segment.stat().st_size))
        octets -= found[-1].octets
    return found


def retired(gone: Sequence[Gone]) -> Entry:
    """The record of it."""
    last = gone[-1]
    detail = {
        "segments": [each.path.name for each in gone],
        "first_seq": gone[0].first_seq,
        "last_seq": last.last_seq,
        "last_hash": last.last_hash,
        "octets": sum(each.octets for each in gone),
    }
    return Entry(Kind.EVENT, RETIRED, BROKER, detail=detail)


def remove(gone: Sequence[Gone]) -> None:
    """Removes them."""
    for each in gone:
        each.path.unlink(missing_ok=True)
    sync_directory(gone[0].path.parent)


def is_retired(fields: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Whether a record says that what was before `first` was removed in order."""
    detail = fields.get("detail")
    return (
        fields["what"] == RETIRED
        and isinstance(detail, dict)
        and detail.get("last_seq") == first["seq"] - 1
        and detail.get("last_hash") == first["previous"]
    )
