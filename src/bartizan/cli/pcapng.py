"""A trace as PCAPNG, for Wireshark: MQTT packets in a TCP that is made up, in the clear, on port 1883.

What Bartizan takes down is MQTT, behind TLS and WebSocket. Wireshark knows MQTT by its port, in TCP: so each packet
stands in segments between the client's true address and one that is set aside for documentation (RFC 5737, RFC 3849).
Octets that were left out (payloads) are missing at the end of a segment, as in a capture with a snap length; of a packet
that takes several segments, they are zeros.
"""

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Final

LINK_TYPE_RAW: Final = 101
"""IPv4 or IPv6 without a frame around it."""

MQTT_PORT: Final = 1883
SEGMENT_BYTES_MAX: Final = 65_000
"""Nearly as much as an IP packet carries: of a packet that is cut, what was kept is then dissected."""
WINDOW: Final = 65_535
TTL: Final = 64
TCP: Final = 6
IPV4: Final = 4
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
OPT_COMMENT, SHB_USERAPPL, IF_NAME, IF_TSRESOL, EPB_FLAGS = 1, 4, 2, 9, 2
MILLISECONDS: Final = b"\x03"
INBOUND, OUTBOUND = 1, 2
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
_32 = 0xFFFFFFFF

SERVERS = {4: ipaddress.ip_address("192.0.2.1"), 6: ipaddress.ip_address("2001:db8::1")}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class _Stream:
    """One connection: its client, and how far each side has come."""

    client: Address
    port: int
    sent: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """The next sequence number of the client, and of the server."""


class PcapNg:
    """Writes packets as they come."""

    def __init__(self, to: BinaryIO, name: str) -> None:
        self._to = to
        self._streams: dict[str, _Stream] = {}
        section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((SHB_USERAPPL, b"bartizan trace"))
        self._write(SECTION, section)
        interface = struct.pack("<HHI", LINK_TYPE_RAW, 0, 0)
        self._write(INTERFACE, interface + _options((IF_NAME, name.encode()), (IF_TSRESOL, MILLISECONDS)))

    def packet(self, connection: str, at_ms: int, octets: bytes, length: int, *, from_client: bool) -> None:
        """One MQTT packet of this length, and the octets from its first on that are there."""
        stream = self._streams.get(connection)
        if stream is None:
            stream = self._streams[connection] = _opened(connection)
            for by_client, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
                self._segment(stream, at_ms, b"", 0, flags, by_client=by_client)
        left_out = length - len(octets)
        comment = f"{left_out} octets at the end were left out by bartizan trace" if left_out else ""
        if length > SEGMENT_BYTES_MAX and left_out:
            # What is cut amid a stream of segments cannot be put together: the next would be taken for a packet.
            octets, comment = octets.ljust(length, b"\0"), f"{comment}, and are zeros here"
        for start in range(0, length, SEGMENT_BYTES_MAX):
            piece = octets[start : start + SEGMENT_BYTES_MAX]
            size = min(SEGMENT_BYTES_MAX, length - start)
            self._segment(stream, at_ms, piece, size, PSH | ACK, by_client=from_client, comment=comment)

    def closed(self, connection: str, at_ms: int) -> None:
        """The connection is over: what comes from the same address is another one."""
        stream = self._streams.pop(connection, None)
        if stream is not None:
            self._segment(stream, at_ms, b"", 0, FIN | ACK, by_client=False)
            self._segment(stream, at_ms, b"", 0, FIN | ACK, by_client=True)

    def _segment(
        self,
        stream: _Stream,
        at_ms: int,
        octets: bytes,
        size: int,
        flags: int,
        *,
        by_client: bool,
        comment: str = "",
    ) -> None:
        server = SERVERS[stream.client.version]
        ends = [(stream.client, stream.port), (server, MQTT_PORT)]
        (source, source_port), (target, target_port) = ends if by_client else ends[::-1]
        acknowledged = stream.sent[not by_client] if flags & ACK else 0
        # Offset of 5 words: no options.
        head = struct.pack(
            ">HHIIBBHHH", source_port, target_port, stream.sent[by_client], acknowledged, 5 << 4, flags, WINDOW, 0, 0
        )
        stream.sent[by_client] = (stream.sent[by_client] + size + bool(flags & (SYN | FIN))) & _32
        carried = _ip(source, target, len(head) + size) + head
        body = struct.pack("<IIIII", 0, at_ms >> 32, at_ms & _32, len(carried) + len(octets), len(carried) + size)
        way = struct.pack("<I", INBOUND if by_client else OUTBOUND)
        options = [(EPB_FLAGS, way)] + ([(OPT_COMMENT, comment.encode())] if comment else [])
        self._write(PACKET, body + _padded(carried + octets) + _options(*options))

    def _write(self, kind: int, body: bytes) -> None:
        length = len(body) + 12
        self._to.write(struct.pack("<II", kind, length) + body + struct.pack("<I", length))


def _opened(connection: str) -> _Stream:
    """By the text of its address; one that came by a Unix socket has none."""
    host, _, port = connection.rpartition(":")
    try:
        return _Stream(ipaddress.ip_address(host.strip("[]")), int(port))
    except ValueError:
        return _Stream(ipaddress.ip_address("127.0.0.1"), 1)


def _ip(source: Address, target: Address, size: int) -> bytes:
    if source.version != IPV4:
        return struct.pack(">IHBB", 6 << 28, size, TCP, TTL) + source.packed + target.packed
    words = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 0, 0x4000, TTL, TCP)
    ends = source.packed + target.packed
    return words + struct.pack(">H", _checksum(words + ends)) + ends


def _checksum(octets: bytes) -> int:
    """Of an IPv4 header (RFC 1071)."""
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _options(*options: tuple[int, bytes]) -> bytes:
    told = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return told + struct.pack("<HH", 0, 0)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
