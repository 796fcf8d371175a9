"""What a broker sends, decoded and held against the standard as it is.

Every packet that any test receives goes through here, so reserved flags, Reason Codes, properties
out of place and lengths that do not add up fail the test that met them, whatever it was about.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.conformance.properties import BadPacketError, Reader, Value, decode


@dataclass(frozen=True, kw_only=True)
class Packet:
    """Any Control Packet; `size` is what it took on the wire."""

    size: int
    properties: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Connack(Packet):
    session_present: bool
    reason: int


@dataclass(frozen=True, kw_only=True)
class Publish(Packet):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    pid: int | None


@dataclass(frozen=True, kw_only=True)
class Acknowledgement(Packet):
    pid: int
    reason: int


class Puback(Acknowledgement):
    """QoS 1, received."""


class Pubrec(Acknowledgement):
    """QoS 2, part one."""


class Pubrel(Acknowledgement):
    """QoS 2, part two."""


class Pubcomp(Acknowledgement):
    """QoS 2, part three."""


@dataclass(frozen=True, kw_only=True)
class Suback(Packet):
    pid: int
    reasons: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Unsuback(Packet):
    pid: int
    reasons: tuple[int, ...]


class Pingresp(Packet):
    """The answer to PINGREQ."""


@dataclass(frozen=True, kw_only=True)
class Disconnect(Packet):
    reason: int


@dataclass(frozen=True, kw_only=True)
class Auth(Packet):
    reason: int


def _codes(text: str) -> frozenset[int]:
    return frozenset(bytes.fromhex(text))


_RECEIVED = _codes("00 10 80 83 87 90 91 97 99")
# What a server may say in each packet (MQTT 5, 3.2.2.2 ... 3.15.2.1).
V5_REASONS: dict[type[Packet], frozenset[int]] = {
    Connack: _codes("00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"),
    Puback: _RECEIVED,
    Pubrec: _RECEIVED,
    Pubrel: _codes("00 92"),
    Pubcomp: _codes("00 92"),
    Suback: _codes("00 01 02 80 83 87 8f 91 97 9e a1 a2"),
    Unsuback: _codes("00 11 80 83 87 8f 91"),
    Disconnect: _codes("00 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"),
    Auth: _codes("00 18"),
}
V311_REASONS: dict[type[Packet], frozenset[int]] = {
    Connack: _codes("00 01 02 03 04 05"),
    Suback: _codes("00 01 02 80"),
}


def read(first: int, body: bytes, *, level: int, size: int) -> Packet:
    """Decode one packet of a connection that speaks `level`."""
    parser = PARSERS.get(first & 0xF0)
    if parser is None or (level < 5 and first & 0xF0 in (0xE0, 0xF0)):
        raise BadPacketError(f"a server does not send 0x{first:02x} at level {level}")
    if first & 0xF0 != 0x30 and first & 0x0F != (0x02 if first & 0xF0 == 0x60 else 0x00):
        raise BadPacketError(f"[MQTT-2.1.3-1] reserved flags in 0x{first:02x}")
    reader = Reader(body)
    packet = parser(first, reader, level, size)
    if reader.left:
        raise BadPacketError(f"{reader.left} bytes too many in {packet}")
    return packet


def _said(kind: type[Packet], reason: int, level: int) -> int:
    allowed = (V5_REASONS if level >= 5 else V311_REASONS).get(kind)
    if allowed is not None and reason not in allowed:
        raise BadPacketError(f"Reason Code 0x{reason:02x} does not belong in {kind.__name__}")
    return reason


def _connack(_first: int, reader: Reader, level: int, size: int) -> Packet:
    # A server that does not know the level asked for may refuse in either form, so the length
    # says which one this is.
    level = 5 if reader.left > 2 else min(level, 4)
    flags = reader.number(1)
    if flags > 1:
        raise BadPacketError(f"[MQTT-3.2.2-1] Connect Acknowledge Flags 0x{flags:02x}")
    reason = _said(Connack, reader.number(1), level)
    if flags and reason:
        raise BadPacketError("[MQTT-3.2.2-6] Session Present in a refusing CONNACK")
    properties = decode(reader, "connack") if level >= 5 else {}
    return Connack(session_present=bool(flags), reason=reason, properties=properties, size=size)


def _publish(first: int, reader: Reader, level: int, size: int) -> Packet:
    qos, dup = first >> 1 & 3, bool(first & 0x08)
    if qos == 3:
        raise BadPacketError("[MQTT-3.3.1-4] QoS 3")
    if dup and not qos:
        raise BadPacketError("[MQTT-3.3.1-2] DUP at QoS 0")
    topic = reader.text()
    if "+" in topic or "#" in topic:
        raise BadPacketError(f"[MQTT-3.3.2-2] wildcard in Topic Name {topic!r}")
    pid = reader.number(2) if qos else None
    if pid == 0:
        raise BadPacketError("Packet Identifier 0")
    properties = decode(reader, "publish") if level >= 5 else {}
    if not topic and "topic_alias" not in properties:
        raise BadPacketError("[MQTT-4.7.3-1] empty Topic Name")
    return Publish(
        topic=topic,
        payload=reader.take(reader.left),
        qos=qos,
        retain=bool(first & 1),
        dup=dup,
        pid=pid,
        properties=properties,
        size=size,
    )


def _tail(kind: type[Packet], reader: Reader, level: int) -> tuple[int, dict[str, Value]]:
    """The Reason Code and properties that a v5 packet may leave out (3.4.2.1, 3.14.2.1)."""
    if level < 5 or not reader.left:
        return 0, {}
    reason = _said(kind, reader.number(1), level)
    return reason, decode(reader, kind.__name__.lower()) if reader.left else {}


def _acknowledgement(
    kind: type[Acknowledgement],
) -> Callable[[int, Reader, int, int], Packet]:
    def parse(_first: int, reader: Reader, level: int, size: int) -> Packet:
        pid = reader.number(2)
        reason, properties = _tail(kind, reader, level)
        return kind(pid=pid, reason=reason, properties=properties, size=size)

    return parse


def _suback(first: int, reader: Reader, level: int, size: int) -> Packet:
    kind = Suback if first == 0x90 else Unsuback
    pid = reader.number(2)
    properties = decode(reader, kind.__name__.lower()) if level >= 5 else {}
    # UNSUBACK of 3.1.1 ends after its Packet Identifier (3.1.1, 3.11.3).
    codes = b"" if level < 5 and kind is Unsuback else reader.take(reader.left)
    reasons = tuple(_said(kind, reason, level) for reason in codes)
    return kind(pid=pid, reasons=reasons, properties=properties, size=size)


def _pingresp(_first: int, _reader: Reader, _level: int, size: int) -> Packet:
    return Pingresp(size=size)


def _disconnect(_first: int, reader: Reader, level: int, size: int) -> Packet:
    reason, properties = _tail(Disconnect, reader, level)
    if "session_expiry_interval" in properties:
        raise BadPacketError("[MQTT-3.14.2-2] Session Expiry Interval in the server's DISCONNECT")
    return Disconnect(reason=reason, properties=properties, size=size)


def _auth(_first: int, reader: Reader, level: int, size: int) -> Packet:
    reason, properties = _tail(Auth, reader, level)
    return Auth(reason=reason, properties=properties, size=size)


PARSERS: dict[int, Callable[[int, Reader, int, int], Packet]] = {
    0x20: _connack,
    0x30: _publish,
    0x40: _acknowledgement(Puback),
    0x50: _acknowledgement(Pubrec),
    0x60: _acknowledgement(Pubrel),
    0x70: _acknowledgement(Pubcomp),
    0x90: _suback,
    0xB0: _suback,
    0xD0: _pingresp,
    0xE0: _disconnect,
    0xF0: _auth,
}
