"""Records of the audit for eyes: one a line, or one whole."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.broker.log import escaped

_TIME_CHARS = 19
_VALUE_CHARS_MAX = 60

_OF_RECORDS = frozenset({"severity", "last_at"})
"""What a line leaves out of the details of an event."""

_SHOWN = (
    ("log", "log"),
    ("seq", "record"),
    ("at", "at"),
    ("kind", "kind"),
    ("what", "what"),
    ("target", "target"),
    ("who", "who"),
    ("uid", "user number"),
    ("from", "from"),
    ("why", "why"),
    ("outcome", "outcome"),
    ("of", "of records"),
    ("key", "key"),
    ("signature", "signature"),
    ("previous", "previous"),
    ("hash", "hash"),
)


def reference(log: str, seq: int) -> str:
    """How a record is called: c17 is the 17th of the changes, e17 of the events."""
    return f"{log[:1]}{seq}"


def line_text(record: Mapping[str, Any]) -> str:
    """A record on one line."""
    at = record["at"][:_TIME_CHARS].replace("T", " ")
    words = [
        f"{reference(record['log'], record['seq']):>6}",
        at,
        escaped(str(record.get("who", "-"))),
        escaped(record["what"]),
    ]
    if target := record.get("target"):
        words.append(escaped(target))
    if outcome := record.get("outcome"):
        words.append(f"of {_span(record.get('of'))}: {escaped(outcome)}")
    words += _differences(record)
    if record["log"] == "events":
        words += [f"from {escaped(record.get('from', '-'))}", *_details(record)]
    if why := record.get("why"):
        words.append(f"({escaped(why)})")
    return "  ".join(words)


def record_text(record: Mapping[str, Any]) -> Iterator[str]:
    """A record whole, a field a line."""
    for field, name in _SHOWN:
        if field in record:
            value = _span(record[field]) if field == "of" else str(record[field])
            yield f"{name:<12} {escaped(value)}"
    for field in ("before", "after", "detail"):
        if field in record:
            yield field
            text = json.dumps(record[field], indent=2, ensure_ascii=False, sort_keys=True)
            yield from (f"  {escaped(line)}" for line in text.splitlines())


def _differences(record: Mapping[str, Any]) -> Iterator[str]:
    before, after = record.get("before", {}), record.get("after", {})
    for key in sorted(before.keys() | after.keys()):
        old, new = _value(before.get(key)), _value(after.get(key))
        yield (
            f"{escaped(key)}={old} -> {new}"
            if key in before and key in after
            else (f"{escaped(key)}={new}" if key in after else f"-{escaped(key)}={old}")
        )


def _details(record: Mapping[str, Any]) -> Iterator[str]:
    detail = record.get("detail", {})
    yield from (f"{escaped(key)}={_value(detail[key])}" for key in sorted(detail) if key not in _OF_RECORDS)


def _value(value: object) -> str:
    match value:
        case str():
            text = value
        case list():
            text = ",".join(map(str, value))
        case dict():
            text = f"{{{','.join(map(str, value))}}}"
        case _:
            text = json.dumps(value)
    return escaped(text if len(text) <= _VALUE_CHARS_MAX else text[: _VALUE_CHARS_MAX - 1] + "…")


def _span(of: object) -> str:
    match of:
        case [first, last] if first == last:
            return str(first)
        case [first, last]:
            return f"{first} to {last}"
        case _:
            return "?"
