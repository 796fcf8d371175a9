"""Reads PCAPNG as its specification says (draft-ietf-opsawg-pcapng), and the TCP streams in it, for tests."""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
IPV4, SYN, FIN = 4, 2, 1
End = tuple[str, int]


@dataclass(frozen=True)
class Segment:
    """One TCP segment: whence, whither, how far its sender was, what it carries and how much it should."""

    at: int
    source: End
    target: End
    sequence: int
    flags: int
    octets: bytes
    size: int
    options: dict[int, bytes]


@dataclass
class Stream:
    """A connection between a client and a server, who listens on 1883."""

    client: End
    server: End
    segments: list[Segment] = field(default_factory=list)

    def packets(self) -> Iterator[tuple[str, bytes]]:
        """MQTT packets in order, each with who sent it. Sequence numbers have no gap."""
        rest = {self.client: b"", self.server: b""}
        expected: dict[End, int] = {}
        for segment in self.segments:
            begins = bool(segment.flags & (SYN | FIN))
            assert segment.sequence == expected.get(segment.source, segment.sequence)
            expected[segment.source] = segment.sequence + segment.size + begins
            rest[segment.source] += segment.octets + bytes(segment.size - len(segment.octets))
            while (length := packet_length(rest[segment.source])) is not None:
                octets, rest[segment.source] = rest[segment.source][:length], rest[segment.source][length:]
                yield ("client" if segment.source == self.client else "server"), octets
        assert not any(rest.values())


@dataclass
class Pcapng:
    """A file."""

    link_type: int
    interface_options: dict[int, bytes]
    segments: list[Segment]

    def streams(self) -> list[Stream]:
        """Connections; each begins with a SYN of its client."""
        found: list[Stream] = []
        for segment in self.segments:
            if segment.flags & 0x12 == SYN:
                found.append(Stream(segment.source, segment.target))
            ends = {segment.source, segment.target}
            next(one for one in reversed(found) if {one.client, one.server} == ends).segments.append(segment)
        return found


def packet_length(octets: bytes) -> int | None:
    """Octets of the MQTT packet at the front; None if it is not all there."""
    length = 0
    for at, octet in enumerate(octets[1:5]):
        length |= (octet & 0x7F) << (7 * at)
        if octet < 0x80:
            whole = 2 + at + length
            return whole if len(octets) >= whole else None
    return None


def read(file: bytes) -> Pcapng:
    """The whole file; every length in it is right."""
    made: Pcapng | None = None
    while file:
        kind, length = struct.unpack("<II", file[:8])
        assert length % 4 == 0
        assert struct.unpack("<I", file[length - 4 : length])[0] == length
        body, file = file[8 : length - 4], file[length:]
        if kind == SECTION:
            assert struct.unpack("<IHHq", body[:16]) == (0x1A2B3C4D, 1, 0, -1)
        elif kind == INTERFACE:
            link_type, _, snap = struct.unpack("<HHI", body[:8])
            assert snap == 0
            made = Pcapng(link_type, _options(body[8:]), [])
        else:
            assert kind == PACKET
            assert made is not None
            made.segments.append(_segment(body))
    assert made is not None
    return made


def _segment(body: bytes) -> Segment:
    _, high, low, captured, original = struct.unpack("<IIIII", body[:20])
    packet = body[20 : 20 + captured]
    options = _options(body[20 + captured + (-captured % 4) :])
    if packet[0] >> 4 == IPV4:
        assert struct.unpack(">H", packet[2:4])[0] == original
        assert _sum(packet[:20]) == 0xFFFF
        addresses, tcp = (packet[12:16], packet[16:20]), packet[20:]
    else:
        assert struct.unpack(">H", packet[4:6])[0] == original - 40
        addresses, tcp = (packet[8:24], packet[24:40]), packet[40:]
    source, target = (str(ipaddress.ip_address(octets)) for octets in addresses)
    source_port, target_port, sequence, _, offset, flags = struct.unpack(">HHIIBB", tcp[:14])
    assert offset == 5 << 4
    missing = original - captured
    return Segment(
        (high << 32) + low,
        (source, source_port),
        (target, target_port),
        sequence,
        flags,
        tcp[20:],
        len(tcp) - 20 + missing,
        options,
    )


def _sum(header: bytes) -> int:
    total = sum(struct.unpack(">10H", header))
    return (total & 0xFFFF) + (total >> 16)


def _options(octets: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while octets:
        code, length = struct.unpack("<HH", octets[:4])
        found[code] = octets[4 : 4 + length]
        octets = octets[4 + length + (-length % 4) :]
        if code == 0:
            assert not octets
    return found
