"""Spans of time as people write them: `14d`, `36h`, `90m`."""

import re
from datetime import timedelta

from bartizan.errors import InvalidValue

_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """The span, or `InvalidValue`."""
    found = _SPAN.match(text)
    if not found:
        raise InvalidValue(f"{text!r} is no span of time: write a number and s, m, h, d or w, such as 14d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
