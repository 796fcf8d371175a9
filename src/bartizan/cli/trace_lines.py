"""A traced packet as a line of text: when, which connection, which way, what."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bartizan.broker.log import escaped

PAYLOAD_CHARS_MAX: Final = 200
"""On a line of text; JSON has it as a whole."""

PLAIN: Final = ("version", "client_id", "user_name", "password", "clean_start", "keep_alive_s", "session_present")
"""Fields of CONNECT and CONNACK that are shown by their names."""

ARROWS: Final = {"in": "->", "out": "<-"}


def text(packet: Mapping[str, Any]) -> str:
    """The line. What clients chose cannot move the cursor."""
    if "lost" in packet:
        return f"... {packet['lost']} packets more than could be shown ..."
    at = datetime.fromtimestamp(packet["at_ms"] / 1_000, UTC).strftime("%H:%M:%S.%f")[:-3]
    way = ARROWS.get(packet.get("direction", ""), "--")
    return escaped(" ".join([at, packet["connection"], way, *_parts(packet)]))


def _parts(packet: Mapping[str, Any]) -> Iterator[str]:
    yield packet["type"]
    if "bytes" in packet:
        yield f"({packet['bytes']} B)"
    yield from _head(packet)
    yield from _outcomes(packet)
    yield from (_filter(one) for one in packet.get("filters", ()))
    if "will" in packet:
        yield f"will=[{' '.join(_will(packet['will']))}]"
    yield from _properties(packet.get("properties", {}))
    yield from _payload(packet)
    if "error" in packet:
        yield f"UNREADABLE: {packet['error']}"
    elif packet.get("cut"):
        yield "(cut)"


def _head(packet: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}={_word(packet[name])}" for name in PLAIN if name in packet)
    if "topic" in packet:
        yield packet["topic"] or "(alias unknown)"
    if "packet_id" in packet:
        yield f"id={packet['packet_id']}"
    if "qos" in packet:
        yield _delivery(packet)


def _outcomes(packet: Mapping[str, Any]) -> Iterator[str]:
    for reason in [packet["reason"]] if "reason" in packet else packet.get("reasons", ()):
        yield f"{reason.get('name', 'unknown')} (0x{reason['code']:02x})"


def _delivery(packet: Mapping[str, Any]) -> str:
    flags = [name for name in ("retain", "dup") if packet.get(name)]
    return " ".join([f"qos={packet['qos']}", *flags])


def _filter(one: Mapping[str, Any]) -> str:
    if "qos" not in one:
        return one["filter"]
    flags = [name for name in ("no_local", "retain_as_published") if one[name]]
    handling = [f"retain_handling={one['retain_handling']}"] if one["retain_handling"] else []
    qos = f"qos={one['qos']}"
    return f"[{' '.join([one['filter'], qos, *flags, *handling])}]"


def _will(will: Mapping[str, Any]) -> Iterator[str]:
    yield will["topic"]
    yield _delivery(will)
    yield from _properties(will.get("properties", {}))
    yield from _payload(will)


def _properties(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if name == "user_properties":
            yield from (f"{key}={text!r}" for key, text in value)
        else:
            yield f"{name}={value}"


def _payload(packet: Mapping[str, Any]) -> Iterator[str]:
    if "payload_bytes" in packet:
        yield f"payload={packet['payload_bytes']}B"
    shown = packet.get("payload", packet.get("payload_base64"))
    if shown is not None:
        yield repr(shown[:PAYLOAD_CHARS_MAX]) + ("..." if len(shown) > PAYLOAD_CHARS_MAX else "")


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
