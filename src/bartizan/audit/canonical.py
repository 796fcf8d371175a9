"""One spelling of a JSON value (RFC 8785), so that a hash of it means the value.

What is recorded has text, whole numbers, booleans, null, lists and objects; other numbers are not recorded.
"""

import json
from collections.abc import Mapping
from typing import Any

INTEGER_MAX = 2**53 - 1
"""RFC 8785 writes numbers as JavaScript reads them: beyond this they are no longer exact."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def canonical(value: object) -> bytes:
    """The value as RFC 8785 writes it. It holds only what `plain` gives."""
    # Keys are ASCII (`plain` sees to it), so their order by code point is the one by UTF-16 that is asked for.
    return _ENCODER.encode(value).encode()


def plain(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    """The value in what may be recorded: what is not whole, too large or no Unicode becomes text that says it."""
    match value:
        case None | bool():
            return value
        case str():
            return _text(value)
        case int() if abs(value) <= INTEGER_MAX:
            return int(value)
        case Mapping():
            return {_key(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    # Lone surrogates, as argv may have them, are no Unicode: they are spelt out.
    return str(text) if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _key(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode()
