"""How a log goes on behind what a crash, or somebody, left at its end: it is named, and stays where it is.

A crash leaves a line that was never whole; nobody was told that it was written. Where a record is missing that the
head says was written, or the head is not there, or not signed, it was no crash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bartizan.audit.head import Head
from bartizan.audit.record import Entry, Kind
from bartizan.audit.segments import End
from bartizan.model.actor import BROKER

TORN: Final = "audit.torn"
"""A line that was not written to its end."""

ALTERED: Final = "audit.altered"
"""Records are missing that had been written: altered, or cut off."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is to be put on record."""

    entry: Entry
    prefix: bytes
    """Written before it: the line break that the last line lacks."""


def damage(told: Head, end: End, wrong: str) -> Damage | None:
    """What is wrong at the end of a log; None if nothing is. `wrong`: what is wrong with its head."""
    content = b""
    if end.behind and end.segment is not None:
        with end.segment.open("rb") as file:
            file.seek(end.size)
            content = file.read()
    is_altered = bool(wrong) or told.seq > end.seq
    if not content and not is_altered:
        return None
    prefix = b"\n" if content and not content.endswith(b"\n") else b""
    detail = ({"head": wrong} if wrong else {}) | _detail(told, end, content + prefix)
    return Damage(Entry(Kind.EVENT, ALTERED if is_altered else TORN, BROKER, detail=detail), prefix)


def _detail(told: Head, end: End, content: bytes) -> dict[str, Any]:
    missing = {"missing_from": end.seq + 1, "missing_to": told.seq} if told.seq > end.seq else {}
    return missing | {"octets": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def is_named(fields: Mapping[str, Any], content: bytes) -> bool:
    """Whether this record names that piece of a segment."""
    detail = fields.get("detail")
    return (
        fields["what"] in {TORN, ALTERED}
        and isinstance(detail, dict)
        and detail.get("octets") == len(content)
        and detail.get("sha256") == hashlib.sha256(content).hexdigest()
    )
