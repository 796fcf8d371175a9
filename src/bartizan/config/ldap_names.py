"""Distinguished Names (RFC 4514) and search filters (RFC 4515) with variables such as `{user_name}`.

A filter is taken apart when the settings are read, and what a client sends only ever becomes an assertion value of it:
there is no text into which a `*` or a `)` could be smuggled. A Distinguished Name is text on the wire, so there every
octet that is no plain letter, digit, `-`, `_` or `.` is sent as `\\xx`.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

DEPTH_MAX = 16
"""Deeper no filter of a person nests."""

Value = tuple[bytes | str, ...]
"""An assertion value in pieces: octets as they are, or the name of a variable."""

DnKey = tuple[frozenset[tuple[str, str]], ...]
"""A Distinguished Name as it is compared: without case, order within a part, or spelling of its escapes."""

_PIECE = re.compile(r"\{(?P<variable>[^{}]*)\}|\\(?P<octet>[0-9A-Fa-f]{2})|(?P<text>[^\\{}*()\x00])", re.DOTALL)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*|\d+(?:\.\d+)+")
_OPERATOR = re.compile(r":(?P<rule>\d+(?:\.\d+)+):=|:=|=|>=|<=|~=")
_TYPE = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)\s*=")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclass(frozen=True, slots=True)
class Composite:
    """`(&...)`, `(|...)` or `(!...)`."""

    operator: str
    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Match:
    """`(uid={user_name})`; the operator is `=`, `>=`, `<=` or `~=`."""

    operator: str
    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class Substrings:
    """`(cn=a*b*c)`: a first piece, further ones, and a last one; the first and the last may be empty."""

    attribute: str
    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """`(mail=*)`."""

    attribute: str


@dataclass(frozen=True, slots=True)
class Extensible:
    """`(member:1.2.840.113556.1.4.1941:={user_dn})`: by the rule of that number."""

    attribute: str
    rule: str
    value: Value


Filter = Composite | Match | Substrings | Present | Extensible


def parse_filter(text: str, variables: Collection[str]) -> Filter:
    """The filter; `ValueError` that says what is wrong with it."""
    reader = _Reader(text, variables)
    found = reader.filter(0)
    if reader.at != len(text):
        raise ValueError(f"the filter {text!r} goes on after its end")
    return found


def parse_dn_template(text: str) -> str:
    """A Distinguished Name with `{user_name}` in it once, in a value's place."""
    if _VARIABLE.findall(text) != ["user_name"]:
        raise ValueError("write it with {user_name} in it once, such as uid={user_name},ou=people,dc=example,dc=org")
    parse_dn(text.replace("{user_name}", "x"))
    return text


def fill_dn(template: str, user_name: str) -> str:
    """The Distinguished Name of a user: whatever the name holds stays one value."""
    escaped = "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in user_name.encode())
    return template.replace("{user_name}", escaped)


def parse_dn(text: str) -> str:
    """A Distinguished Name as it stands; `ValueError` if it is none."""
    if dn_key(text) is None:
        raise ValueError(f"{text[:80]!r} is no Distinguished Name such as cn=operators,ou=groups,dc=example,dc=org")
    return text


def dn_key(text: str) -> DnKey | None:
    """What two spellings of one Distinguished Name have in common; None for what is none."""
    parts: list[frozenset[tuple[str, str]]] = []
    part: set[tuple[str, str]] = set()
    at = 0
    while found := _TYPE.match(text, at):
        value, at = _value_at(text, found.end())
        if value is None:
            return None
        part.add((found[1].lower(), " ".join(value.casefold().split())))
        if at < len(text) and text[at] == "+":
            at += 1
            continue
        parts.append(frozenset(part))
        part = set()
        if at == len(text):
            return tuple(parts)
        at += 1
    return None


def _value_at(text: str, at: int) -> tuple[str | None, int]:
    """The value that begins there and where it ends: at a `,`, a `+`, or the end of the text."""
    octets = bytearray()
    begins = at
    while at < len(text) and text[at] not in ",+":
        char = text[at]
        if char == "\\":
            pair = text[at + 1 : at + 3]
            if re.fullmatch(r"[0-9A-Fa-f]{2}", pair):
                octets.append(int(pair, 16))
                at += 3
                continue
            at += 1
            char = text[at : at + 1]
            if not char or char not in ' "#+,;<=>\\':
                return None, at
        elif char in '";<>\x00' or (char == "#" and at == begins):
            return None, at
        octets += char.encode()
        at += 1
    try:
        return octets.decode() or None, at
    except UnicodeDecodeError:
        return None, at


class _Reader:
    """Reads a filter from its first character to its last."""

    def __init__(self, text: str, variables: Collection[str]) -> None:
        self._text = text
        self._variables = variables
        self.at = 0

    def filter(self, depth: int) -> Filter:
        """One filter, in its parentheses."""
        if depth > DEPTH_MAX:
            raise ValueError(f"the filter nests deeper than {DEPTH_MAX}")
        self._expect("(")
        operator = self._text[self.at : self.at + 1]
        found = self._composite(operator, depth) if operator in {"&", "|", "!"} else self._item()
        self._expect(")")
        return found

    def _composite(self, operator: str, depth: int) -> Filter:
        self.at += 1
        parts: list[Filter] = []
        while self._text.startswith("(", self.at):
            parts.append(self.filter(depth + 1))
        if not parts or (operator == "!" and len(parts) > 1):
            raise ValueError(
                f"({operator} in a filter takes {'one part' if operator == '!' else 'parts'} in parentheses"
            )
        return Composite(operator, tuple(parts))

    def _item(self) -> Filter:
        attribute = self._match(_ATTRIBUTE, "the name of an attribute")[0]
        operator = self._match(_OPERATOR, "'='")
        pieces = [self._value()]
        while self._text.startswith("*", self.at):
            self.at += 1
            pieces.append(self._value())
        if operator[0].endswith(":=") and operator["rule"] is None:
            raise ValueError("a filter with ':=' names a rule, such as (member:1.2.840.113556.1.4.1941:={user_dn})")
        if len(pieces) == 1:
            return (
                Extensible(attribute, operator["rule"], pieces[0])
                if operator["rule"]
                else Match(operator[0], attribute, pieces[0])
            )
        if operator[0] != "=":
            raise ValueError("'*' in a filter goes with '=' only: write a star that is meant as \\2a")
        return Present(attribute) if not any(pieces) else self._substrings(attribute, pieces)

    def _substrings(self, attribute: str, pieces: list[Value]) -> Filter:
        if not all(pieces[1:-1]):
            raise ValueError("'**' in a filter means no more than '*'")
        return Substrings(attribute, tuple(pieces))

    def _value(self) -> Value:
        pieces: list[bytes | str] = []
        while found := _PIECE.match(self._text, self.at):
            self.at = found.end()
            if (variable := found["variable"]) is not None:
                if variable not in self._variables:
                    known = ", ".join(f"{{{name}}}" for name in sorted(self._variables))
                    raise ValueError(f"{{{variable}}} in a filter is unknown: {known}")
                pieces.append(variable)
                continue
            octets = bytes([int(found["octet"], 16)]) if found["octet"] else found["text"].encode()
            last = pieces.pop() if pieces and isinstance(pieces[-1], bytes) else b""
            pieces.append(last + octets if isinstance(last, bytes) else octets)
        return tuple(pieces)

    def _match(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        found = pattern.match(self._text, self.at)
        if found is None:
            raise ValueError(f"the filter {self._text!r} has no {wanted} at character {self.at + 1}")
        self.at = found.end()
        return found

    def _expect(self, char: str) -> None:
        if not self._text.startswith(char, self.at):
            raise ValueError(f"the filter {self._text!r} has no {char!r} at character {self.at + 1}")
        self.at += 1


def uses(wanted: str, found: Filter) -> bool:
    """Whether a variable stands in a filter."""
    match found:
        case Composite():
            return any(uses(wanted, part) for part in found.parts)
        case Substrings():
            return any(wanted in piece for piece in found.pieces)
        case Match() | Extensible():
            return wanted in found.value
        case Present():
            return False


def filter_validator(*variables: str) -> Callable[[str], str]:
    """Checks a filter's text, and that it has one of the variables: without any it would find the same for everyone."""

    def check(text: str) -> str:
        found = parse_filter(text, variables)
        if not any(uses(variable, found) for variable in variables):
            wanted = " or ".join(f"{{{variable}}}" for variable in variables)
            raise ValueError(f"a filter without {wanted} is the same for everyone: write it in")
        return text

    return check
