"""Where the parts of a JSON text stand: a schema's mistake is told with its line, not with its JSON Pointer alone."""

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r"[^,\]}\s]+")


class JsonError(ValueError):
    """A text is no JSON, or has a key twice: what is wrong, and where."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def parse_json(text: str) -> object:
    """What the text says. `JsonError` if it is none; of two equal keys it cannot be known which one is meant."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, error.lineno, error.colno) from None
    except RecursionError:
        raise JsonError("nested too deep", 1, 1) from None
    except ValueError as error:
        raise JsonError(str(error), 1, 1) from None


def place_of(text: str, pointer: str) -> tuple[int, int]:
    """Line and column, from 1, of what this JSON Pointer names in a text that is JSON; of the nearest part above it."""
    places = json_places(text)
    while pointer and pointer not in places:
        pointer = pointer.rpartition("/")[0]
    at = places.get(pointer, 0)
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def json_places(text: str) -> Mapping[str, int]:
    """Where each part of a JSON text begins, by its JSON Pointer; of an object's member, its key."""
    found: dict[str, int] = {}
    at = _skip(text, 0)
    found[""] = at
    _walk(text, at, "", found)
    return found


def _walk(text: str, at: int, pointer: str, found: dict[str, int]) -> int:
    """Notes what is inside the value that begins here; where it ends."""
    opening = text[at]
    if opening == '"':
        return scanstring(text, at + 1)[1]
    if opening not in "{[":
        scalar = _SCALAR.match(text, at)
        return scalar.end() if scalar else at
    at, number = _skip(text, at + 1), 0
    while text[at] not in "}]":
        found_at = at
        if opening == "{":
            key, at = scanstring(text, at + 1)
            # Behind the key a colon.
            at = _skip(text, _skip(text, at) + 1)
        else:
            key = str(number)
        inner = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        found[inner] = found_at
        at = _skip(text, _walk(text, at, inner, found))
        number += 1
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return found


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON")
