"""Messages of LDAP version 3 (RFC 4511) that a bind and a search need: values <-> octets, without I/O.

What comes from a directory is read with every length checked; what is not expected is `NotLdap`. A variable of a
filter becomes an assertion value of its own here, whatever characters it holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bartizan.config.ldap_names import Composite, Extensible, Filter, Match, Present, Substrings, Value

BIND, BIND_RESPONSE = 0x60, 0x61
UNBIND = 0x42
SEARCH, ENTRY, DONE, REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_RESPONSE = 0x77, 0x78
START_TLS = b"1.3.6.1.4.1.1466.20037"

BASE, SUBTREE = 0, 2
SUCCESS, SIZE_LIMIT_EXCEEDED = 0, 4

INTEGER, OCTETS, BOOLEAN, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x01, 0x0A, 0x30, 0x31
LONG = 0x80
LENGTH_BYTES_MAX = 4

_COMPOSITES = {"&": 0xA0, "|": 0xA1, "!": 0xA2}
_MATCHES = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA4, 0x87, 0xA9


class NotLdap(ValueError):  # noqa: N818  it says what the octets are
    """The octets are no message that was asked for."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the directory: whose answer, of which kind, and what is in it."""

    number: int
    kind: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found: its name, and its attributes by their names in lower case."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for."""

    base: str
    scope: int
    filter: Filter
    attributes: tuple[str, ...]
    entries_max: int
    seconds_max: int


# ---- to the directory ----------------------------------------------------------------------------------


def element(tag: int, *contents: bytes) -> bytes:
    """A tag, a length, and what it is of."""
    content = b"".join(contents)
    size = len(content)
    if size < LONG:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, LONG | len(length)]) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A number that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def message(number: int, operation: bytes) -> bytes:
    """An operation as it is sent."""
    return element(SEQUENCE, integer(number), operation)


def bind(dn: str, password: bytes) -> bytes:
    """A simple bind (RFC 4511, 4.2)."""
    return element(BIND, integer(3), element(OCTETS, dn.encode()), element(0x80, password))


def unbind() -> bytes:
    """Says goodbye."""
    return element(UNBIND)


def start_tls() -> bytes:
    """Asks for TLS on a connection that began in the clear."""
    return element(EXTENDED, element(0x80, START_TLS))


def search(wanted: Search, values: Mapping[str, str]) -> bytes:
    """A search with these variables; no alias is followed."""
    return element(
        SEARCH,
        element(OCTETS, wanted.base.encode()),
        integer(wanted.scope, ENUMERATED),
        integer(0, ENUMERATED),
        integer(wanted.entries_max),
        integer(wanted.seconds_max),
        element(BOOLEAN, b"\x00"),
        filter_octets(wanted.filter, values),
        element(SEQUENCE, *(element(OCTETS, name.encode()) for name in wanted.attributes)),
    )


def filter_octets(wanted: Filter, values: Mapping[str, str]) -> bytes:
    """A filter with these variables (RFC 4511, 4.5.1.7)."""
    match wanted:
        case Composite(operator, parts):
            return element(_COMPOSITES[operator], *(filter_octets(part, values) for part in parts))
        case Match(operator, attribute, value):
            return element(
                _MATCHES[operator], element(OCTETS, attribute.encode()), element(OCTETS, _filled(value, values))
            )
        case Present(attribute):
            return element(_PRESENT, attribute.encode())
        case Extensible(attribute, rule, value):
            return element(
                _EXTENSIBLE,
                element(0x81, rule.encode()),
                element(0x82, attribute.encode()),
                element(0x83, _filled(value, values)),
            )
        case Substrings(attribute, pieces):
            last = len(pieces) - 1
            # What it begins with, what is in between, what it ends with: each has a tag of its own.
            places = [(0x80 if at == 0 else 0x82 if at == last else 0x81, piece) for at, piece in enumerate(pieces)]
            held = [element(place, _filled(piece, values)) for place, piece in places if piece]
            return element(_SUBSTRINGS, element(OCTETS, attribute.encode()), element(SEQUENCE, *held))


def _filled(value: Value, values: Mapping[str, str]) -> bytes:
    return b"".join(values[piece].encode() if isinstance(piece, str) else piece for piece in value)


# ---- from the directory --------------------------------------------------------------------------------


def elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of which octets consist, and nothing else: tag and content."""
    at = 0
    while at < len(octets):
        tag = octets[at]
        size, begins = length_at(octets, at + 1)
        if begins + size > len(octets):
            raise NotLdap("an element ends beyond its message")
        yield tag, octets[begins : begins + size]
        at = begins + size


def length_at(octets: bytes, at: int) -> tuple[int, int]:
    """A length, and where what follows it begins."""
    if at >= len(octets):
        raise NotLdap("a length is missing")
    first = octets[at]
    if first < LONG:
        return first, at + 1
    count = first & ~LONG
    if not 1 <= count <= LENGTH_BYTES_MAX or at + 1 + count > len(octets):
        raise NotLdap("a length is out of range")
    return int.from_bytes(octets[at + 1 : at + 1 + count], "big"), at + 1 + count


def read_message(octets: bytes) -> Message:
    """The message in the content of the outermost SEQUENCE."""
    parts = list(elements(octets))
    if len(parts) < 2 or parts[0][0] != INTEGER or not 1 <= len(parts[0][1]) <= LENGTH_BYTES_MAX:  # noqa: PLR2004  number, operation
        raise NotLdap("no message")
    kind, body = parts[1]
    return Message(int.from_bytes(parts[0][1], "big"), kind, body)


def result_code(body: bytes) -> int:
    """The result of an operation (RFC 4511, 4.1.9). What else it says may be anything."""
    parts = list(elements(body))
    if not parts or parts[0][0] != ENUMERATED or len(parts[0][1]) not in {1, 2}:
        raise NotLdap("an answer without a result")
    return int.from_bytes(parts[0][1], "big")


def read_entry(body: bytes) -> Entry:
    """An entry that a search found."""
    parts = list(elements(body))
    if [tag for tag, _ in parts] != [OCTETS, SEQUENCE]:
        raise NotLdap("no entry")
    attributes: dict[str, tuple[bytes, ...]] = {}
    for tag, content in elements(parts[1][1]):
        named = list(elements(content))
        if tag != SEQUENCE or [inner for inner, _ in named] != [OCTETS, SET]:
            raise NotLdap("no attribute")
        values = tuple(value for _, value in elements(named[1][1]))
        attributes[_text(named[0][1]).lower()] = values
    return Entry(_text(parts[0][1]), attributes)


def texts(values: Sequence[bytes]) -> list[str]:
    """Values as texts."""
    return [_text(value) for value in values]


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise NotLdap("a text that is not UTF-8") from None
