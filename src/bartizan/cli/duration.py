"""Spans of time as people write them, `14d`, `36h`, `90m`, and as they read them: `3 h`."""

import re
from datetime import UTC, datetime, timedelta

from bartizan.errors import InvalidValue

_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """The span, or `InvalidValue`."""
    found = _SPAN.match(text)
    if not found:
        raise InvalidValue(f"{text!r} is no span of time: write a number and s, m, h, d or w, such as 14d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def span(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def ago(at: str) -> str:
    """How long ago that was."""
    return span((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
