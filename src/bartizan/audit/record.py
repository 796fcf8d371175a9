"""What is recorded, and a line of the log: canonical JSON, chained to the line before by its hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bartizan.audit.canonical import canonical, plain
from bartizan.model.actor import Actor

GENESIS = "0" * 64
"""`previous` of the first record."""

LINE_BYTES_MAX = 256 * 1024
"""A longer line is shortened: what was before and after is then told by its hash."""

OPTIONAL = ("who", "uid", "from", "target", "before", "after", "why", "outcome", "of", "detail")
"""Fields that are left out where there is nothing to say."""


class Kind(StrEnum):
    """What a record is about."""

    CHANGE = "change"
    """Somebody is about to change something."""
    OUTCOME = "outcome"
    """What became of a change."""
    EVENT = "event"
    """Something happened."""
    CHECKPOINT = "checkpoint"
    """A signature over everything before."""


class Outcome(StrEnum):
    """What became of a change."""

    DONE = "done"
    FAILED = "failed"
    """It did not happen; `why` says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded. The log adds where it stands, and when."""

    kind: Kind
    what: str
    """A word such as `identity.set`."""
    actor: Actor | None = None
    target: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    why: str = ""
    outcome: str = ""
    of: tuple[int, int] | None = None
    """Of an outcome: the first and the last record of the changes."""
    at: datetime | None = None
    """When it happened; None: now."""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def fields(self, log: str, seq: int, at: datetime, previous: str) -> dict[str, Any]:
        """The record but for its hash."""
        actor = self.actor
        said = {
            "who": actor and actor.name,
            "uid": actor and actor.uid,
            "from": actor and actor.origin,
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "why": self.why or (actor.why if actor else ""),
            "outcome": self.outcome,
            "of": self.of,
            "detail": self.detail,
        }
        placed = {"log": log, "seq": seq, "at": time_text(self.at or at), "kind": self.kind.value, "what": self.what}
        kept = {key: value for key, value in said.items() if value not in (None, "", {}, ())}
        return plain(placed | kept | {"previous": previous})


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it is written."""

    seq: int
    hash: str
    content: bytes
    """With its line break."""


def line_of(fields: Mapping[str, Any]) -> Line:
    """The line of a record; `fields` is everything but its hash."""
    line = _line_of(fields)
    if len(line.content) <= LINE_BYTES_MAX:
        return line
    shortened = dict(fields)
    for name in ("before", "after", "detail"):
        if name in shortened:
            text = canonical(shortened[name])
            shortened[name] = {"octets": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    return _line_of(shortened)


def _line_of(fields: Mapping[str, Any]) -> Line:
    digest = hash_of(fields)
    return Line(fields["seq"], digest, canonical({**fields, "hash": digest}) + b"\n")


def hash_of(fields: Mapping[str, Any]) -> str:
    """The hash of a record: of everything in it but the hash itself."""
    return hashlib.sha256(canonical({key: value for key, value in fields.items() if key != "hash"})).hexdigest()


def parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it is not as it was written, by itself."""
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or not _is_placed(fields):
            return None
        whole = canonical(fields) == line.rstrip(b"\n") and line.endswith(b"\n")
        return fields if whole and fields["hash"] == hash_of(fields) else None
    except (ValueError, RecursionError):
        return None


def _is_placed(fields: Mapping[str, Any]) -> bool:
    texts = all(isinstance(fields.get(key), str) for key in ("log", "at", "kind", "what", "previous", "hash"))
    return texts and type(fields.get("seq")) is int


def time_text(at: datetime) -> str:
    """A time as records have it: UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
