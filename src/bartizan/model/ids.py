"""Names of identities, roles, attributes and clients: parsed once, valid everywhere after.

A name here may become a level of a Topic Name, a file name of a bundle or the CN of a
certificate, so what would change meaning in any of these is refused at the door.
"""

import re
import unicodedata
from typing import Self

from bartizan.errors import InvalidValue

NAME_CHARS_MAX = 128
"""A longer identity, role or attribute name is refused."""
CLIENT_ID_BYTES_MAX = 65_535
"""What a UTF-8 Encoded String can hold (1.5.4)."""
ATTRIBUTE_CHARS_MAX = 256
"""A longer attribute value is refused."""
REMARK_CHARS_MAX = 1_024
"""A longer note, owner or reason is refused."""

_TOPIC_SYNTAX = frozenset("/+#")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


def _is_control(char: str) -> bool:
    # Cc control, Cf invisible format marks (bidi overrides, zero width), Cs lone surrogates,
    # Zl/Zp line breaks: none is visible in a log line, and all of them can disguise a name.
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _first_forbidden(text: str) -> str | None:
    return next((char for char in text if char in _TOPIC_SYNTAX or _is_control(char)), None)


class IdentityName(str):
    """The name of an identity: 1 to 128 characters in NFC, without `/`, `+`, `#` or controls."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, or `InvalidValue` saying which rule it breaks."""
        if not 1 <= len(text) <= NAME_CHARS_MAX:
            raise InvalidValue(f"an identity name has 1 to {NAME_CHARS_MAX} characters, not {len(text)}")
        bad = _first_forbidden(text)
        if bad is not None:
            raise InvalidValue(
                f"identity name {text!r} contains {bad!r}: use neither '/', '+', '#' nor control characters"
            )
        if text != unicodedata.normalize("NFC", text):
            raise InvalidValue(f"identity name {text!r} is not in Unicode normal form NFC")
        if text.startswith(("$", ".", "-")) or text != text.strip():
            raise InvalidValue(f"identity name {text!r} begins with '$', '.', '-' or a space, or ends with a space")
        return cls(text)


class ClientId(str):
    """A Client Identifier that a named identity may use: it can stand as one topic level."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The Client Identifier, or `InvalidValue`; empty ones are assigned, not parsed."""
        if not text or len(text.encode(errors="replace")) > CLIENT_ID_BYTES_MAX:
            raise InvalidValue("a Client Identifier has 1 to 65,535 bytes")
        bad = _first_forbidden(text)
        if bad is not None:
            raise InvalidValue(f"Client Identifier contains {bad!r}")
        return cls(text)


class RoleName(str):
    """The name of a role: lower case, digits, `_` and `-`, beginning with a letter."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, or `InvalidValue`."""
        if not _ROLE.match(text):
            raise InvalidValue(
                f"role name {text!r}: use a lower-case letter, then letters, digits, '_' or '-' (64 at most)"
            )
        return cls(text)


class GroupName(str):
    """The name of a group: lower case, digits, `_` and `-`, beginning with a letter."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, or `InvalidValue`."""
        if not _ROLE.match(text):
            raise InvalidValue(
                f"group name {text!r}: use a lower-case letter, then letters, digits, '_' or '-' (64 at most)"
            )
        return cls(text)


class AttributeName(str):
    """The name of an identity's attribute, as the policy writes it after `attr.`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, or `InvalidValue`."""
        if not _ATTRIBUTE.match(text):
            raise InvalidValue(
                f"attribute name {text!r}: use a lower-case letter, then letters, digits or '_' (64 at most)"
            )
        return cls(text)


def parse_attribute(text: str) -> tuple[AttributeName, str]:
    """Reads `site=chicago`. The value keeps what follows the first `=` and may not hold controls."""
    name, separator, value = text.partition("=")
    if not separator or not value:
        raise InvalidValue(f"attribute {text!r}: write it as NAME=VALUE")
    return AttributeName.parse(name), parse_attribute_value(value)


def parse_attribute_value(value: str) -> str:
    """An attribute's value: 1 to 256 characters, no controls.

    `/`, `+` and `#` are allowed: the policy binds values to whole levels, so such a value matches nothing.
    """
    if not 1 <= len(value) <= ATTRIBUTE_CHARS_MAX or any(_is_control(char) for char in value):
        raise InvalidValue(f"attribute value {value!r}: 1 to 256 characters, no control characters")
    return value


def parse_remark(text: str) -> str:
    """A note, an owner, a reason: what people write for people, on one line."""
    if len(text) > REMARK_CHARS_MAX or any(_is_control(char) for char in text):
        raise InvalidValue(f"remark {text[:40]!r}: at most {REMARK_CHARS_MAX} characters, no control characters")
    return text
