"""JSON of strangers: one object, no name twice, no NaN, no deeper than anyone needs.

Two readers that differ about a doubled name are how a checked token becomes another one, so it is refused.
"""

import json
import re
from typing import Any

DEPTH_MAX = 16

_BRACKETS = re.compile(rb"[\[\]{}]")


class NotStrict(ValueError):  # noqa: N818  it says what the text is
    """The text is not such an object."""


def strict_object(octets: bytes) -> dict[str, Any]:
    """The object, or `NotStrict`."""
    if _depth(octets) > DEPTH_MAX:
        raise NotStrict("nested too deep")
    try:
        value = json.loads(octets, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise NotStrict(str(error) if isinstance(error, NotStrict) else "not JSON") from None
    if not isinstance(value, dict):
        raise NotStrict("no object")
    return value


def _depth(octets: bytes) -> int:
    """About how deep it is nested, without reading it; brackets in texts count as well."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(octets):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict("a name stands twice")
    return found


def _no_constant(text: str) -> float:
    raise NotStrict(f"{text} is no JSON")


def _integer(text: str) -> int:
    if len(text) > 19:  # noqa: PLR2004  the digits of 64 bits
        raise NotStrict("an integer beyond 64 bits")
    return int(text)
