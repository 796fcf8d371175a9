"""MQTT 5 properties as the tests write and read them: names, identifiers, types, where they belong.

A test gives properties as a mapping (`{"topic_alias": 1}`), as pairs where order or repetition
matters (`[("user_property", ("a", "1")), ...]`), or as bytes where they are meant to be wrong.
This codec shares nothing with the broker's: two mistakes would have to agree to hide one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

Kind = Literal["byte", "two", "four", "variable", "text", "binary", "pair"]
Pair = tuple[str, str]
Value = int | str | bytes | Pair | list[Pair] | list[int]
Properties = Mapping[str, Value]
Props = Properties | list[tuple[str, Value]] | bytes | None

# name: (identifier, type, packets it may stand in) - MQTT 5, Table 2-4.
TABLE: dict[str, tuple[int, Kind, str]] = {
    "payload_format_indicator": (0x01, "byte", "publish will"),
    "message_expiry_interval": (0x02, "four", "publish will"),
    "content_type": (0x03, "text", "publish will"),
    "response_topic": (0x08, "text", "publish will"),
    "correlation_data": (0x09, "binary", "publish will"),
    "subscription_identifier": (0x0B, "variable", "publish subscribe"),
    "session_expiry_interval": (0x11, "four", "connect connack disconnect"),
    "assigned_client_identifier": (0x12, "text", "connack"),
    "server_keep_alive": (0x13, "two", "connack"),
    "authentication_method": (0x15, "text", "connect connack auth"),
    "authentication_data": (0x16, "binary", "connect connack auth"),
    "request_problem_information": (0x17, "byte", "connect"),
    "will_delay_interval": (0x18, "four", "will"),
    "request_response_information": (0x19, "byte", "connect"),
    "response_information": (0x1A, "text", "connack"),
    "server_reference": (0x1C, "text", "connack disconnect"),
    "reason_string": (
        0x1F,
        "text",
        "connack puback pubrec pubrel pubcomp suback unsuback disconnect auth",
    ),
    "receive_maximum": (0x21, "two", "connect connack"),
    "topic_alias_maximum": (0x22, "two", "connect connack"),
    "topic_alias": (0x23, "two", "publish"),
    "maximum_qos": (0x24, "byte", "connack"),
    "retain_available": (0x25, "byte", "connack"),
    "user_property": (
        0x26,
        "pair",
        "connect connack publish will puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback disconnect auth",
    ),
    "maximum_packet_size": (0x27, "four", "connect connack"),
    "wildcard_subscription_available": (0x28, "byte", "connack"),
    "subscription_identifier_available": (0x29, "byte", "connack"),
    "shared_subscription_available": (0x2A, "byte", "connack"),
}
BY_IDENTIFIER = {identifier: name for name, (identifier, _, _) in TABLE.items()}
WIDTHS: dict[Kind, int] = {"byte": 1, "two": 2, "four": 4}
REPEATABLE = {"publish": {"user_property", "subscription_identifier"}}


class BadPacketError(AssertionError):
    """The broker sent bytes that MQTT does not allow."""


class Reader:
    """Takes values off the front of a packet and refuses what MQTT refuses."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise BadPacketError(f"{count} bytes expected, {self.left} left in {self._octets.hex(' ')}")
        self._at += count
        return self._octets[self._at - count : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def variable(self) -> int:
        value = 0
        for place in range(4):
            octet = self.number(1)
            value |= (octet & 0x7F) << (7 * place)
            if octet < 0x80:
                if place and octet == 0:
                    raise BadPacketError("[MQTT-1.5.5-1] Variable Byte Integer longer than needed")
                return value
        raise BadPacketError("Variable Byte Integer of more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        octets = self.binary()
        try:
            decoded = octets.decode()
        except UnicodeDecodeError as error:
            raise BadPacketError(f"[MQTT-1.5.4-1] ill-formed UTF-8: {octets.hex(' ')}") from error
        if "\0" in decoded:
            raise BadPacketError("[MQTT-1.5.4-2] U+0000 in text")
        return decoded

    def pair(self) -> Pair:
        return (self.text(), self.text())

    def value(self, kind: Kind) -> int | str | bytes | Pair:
        if kind in WIDTHS:
            return self.number(WIDTHS[kind])
        read: dict[Kind, Callable[[], int | str | bytes | Pair]] = {
            "variable": self.variable,
            "text": self.text,
            "binary": self.binary,
            "pair": self.pair,
        }
        return read[kind]()


def variable(value: int) -> bytes:
    """Encode a Variable Byte Integer (1.5.5)."""
    octets = bytearray()
    while True:
        value, low = divmod(value, 0x80)
        octets.append(low | (0x80 if value else 0))
        if not value:
            return bytes(octets)


def sized(octets: bytes | str) -> bytes:
    """Encode text or Binary Data: two bytes of length, then the bytes."""
    raw = octets.encode() if isinstance(octets, str) else octets
    return len(raw).to_bytes(2) + raw


def encode(props: Props) -> bytes:
    """Encode a property block, its Property Length included."""
    if isinstance(props, bytes):
        return variable(len(props)) + props
    pairs = [] if props is None else props if isinstance(props, list) else list(props.items())
    body = b"".join(_one(name, item) for name, value in pairs for item in _items(value))
    return variable(len(body)) + body


def decode(reader: Reader, packet: str) -> dict[str, Value]:
    """Read a property block; repeatable ones become lists, in the order they came."""
    block = Reader(reader.take(reader.variable()))
    found: dict[str, Value] = {}
    lists: dict[str, list[Any]] = {}
    while block.left:
        identifier = block.variable()
        name = BY_IDENTIFIER.get(identifier)
        if name is None or packet not in TABLE[name][2].split():
            raise BadPacketError(f"property 0x{identifier:02x} does not belong in {packet}")
        value = block.value(TABLE[name][1])
        if name in REPEATABLE.get(packet, {"user_property"}):
            lists.setdefault(name, []).append(value)
        elif name in found:
            raise BadPacketError(f"{name} twice in {packet}")
        else:
            found[name] = value
    return {**found, **lists}


def _items(value: Value) -> list[int | str | bytes | Pair]:
    return list(value) if isinstance(value, list) else [value]


def _one(name: str, value: int | str | bytes | Pair) -> bytes:
    identifier, kind, _ = TABLE[name]
    return variable(identifier) + _body(kind, value)


def _body(kind: Kind, value: int | str | bytes | Pair) -> bytes:
    if isinstance(value, tuple):
        return sized(value[0]) + sized(value[1])
    if isinstance(value, int):
        return variable(value) if kind == "variable" else value.to_bytes(WIDTHS[kind])
    return sized(value)
