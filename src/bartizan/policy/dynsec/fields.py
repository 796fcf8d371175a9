"""The fields of a command, read as the plugin reads them: names in any case, of two alike the first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from bartizan.errors import BartizanError

PRIORITY_MAX = 100_000
INT_MAX = 2**31 - 1
STRING_BYTES_MAX = 65_535
"""What a UTF-8 Encoded String can hold (1.5.4)."""

_NOT_CHARACTERS = range(0xFDD0, 0xFDF0)


class Refused(BartizanError):  # noqa: N818  the name says what happened, as in `errors`
    """A command is not carried out. Its text is the `error` of the answer."""


class NotJsonError(ValueError):
    """A payload is no JSON."""


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object."""

    values: Mapping[str, object]
    """By name in lower case."""

    def given(self, name: str) -> str | None:
        """A text, if there is one; another type counts as none."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def optional(self, name: str, error: str) -> str | None:
        """A text or nothing; another type is refused."""
        value = self.values.get(name)
        if name in self.values and not isinstance(value, str):
            raise Refused(error)
        return cast("str | None", value)

    def required(self, name: str, error: str, not_utf8: str = "") -> str:
        """A text that has to be there; `not_utf8` is what is answered where MQTT would not carry it."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise Refused(error)
        if not_utf8 and not is_utf8_string(value):
            raise Refused(not_utf8)
        return value

    def whole(self, name: str, default: int) -> int:
        """A number without its fraction; another type counts as none."""
        value = self.values.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return default
        return int(max(-INT_MAX - 1, min(value, INT_MAX)))

    def priority(self, default: int = -1) -> int:
        """A priority within its bounds."""
        return max(-PRIORITY_MAX, min(self.whole("priority", default), PRIORITY_MAX))

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false; another type counts as none."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default

    def entries(self, name: str) -> Sequence[object] | None:
        """A list; None if there is none."""
        value = self.values.get(name)
        return cast("Sequence[object]", value) if isinstance(value, list) else None


def read_json(payload: bytes) -> object:
    """What these bytes say; `NotJsonError` if nothing."""
    try:
        return json.loads(payload.decode(), object_pairs_hook=_first_of_each, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise NotJsonError from None


def _first_of_each(pairs: list[tuple[str, object]]) -> Fields:
    values: dict[str, object] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), value)
    return Fields(values)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)


def is_utf8_string(text: str) -> bool:
    """True if MQTT carries it as a UTF-8 Encoded String (1.5.4), and Mosquitto takes it."""
    return len(text.encode(errors="replace")) <= STRING_BYTES_MAX and all(map(_is_character, map(ord, text)))


def _is_character(code: int) -> bool:
    is_control = code < 0x20 or 0x7F <= code < 0xA0  # noqa: PLR2004
    is_surrogate = 0xD800 <= code < 0xE000  # noqa: PLR2004
    return not (is_control or is_surrogate or code in _NOT_CHARACTERS or code & 0xFFFE == 0xFFFE)  # noqa: PLR2004
