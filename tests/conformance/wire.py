"""One Network Connection, in exact bytes: send, expect a packet, expect the close, expect nothing.

Every wait has an end, and every failure says what came instead, in hex.
"""

import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tests.conformance.packets import Dialect, v5
from tests.conformance.properties import BadPacketError
from tests.conformance.received import Connack, Disconnect, Packet, Pingresp, read

P = TypeVar("P", bound=Packet)


class Stream(Protocol):
    """An ordered stream of bytes, as a connected socket is one."""

    def settimeout(self, seconds: float, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...
    def sendall(self, octets: bytes, /) -> None: ...
    def recv(self, count: int, /) -> bytes: ...
    def close(self) -> None: ...


def tcp(host: str, port: int) -> Stream:
    """A TCP connection."""
    return socket.create_connection((host, port), timeout=5)


class Wire:
    """A connection to the broker under test, over TCP or whatever stream carries it.

    `strict` is for the broker these tests belong to: where the standard lets a server choose
    between saying why and just closing, ours says why, with the Reason Code the standard names.
    """

    def __init__(self, stream: Stream, *, dialect: Dialect = v5, strict: bool = True) -> None:
        self.dialect = dialect
        self.strict = strict
        self._socket = stream
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()

    def send(self, *parts: bytes | str) -> None:
        """Send packets: bytes from a builder, or hex such as "c0 00"."""
        octets = b"".join(bytes.fromhex(part) if isinstance(part, str) else part for part in parts)
        self._socket.settimeout(5)
        # The broker may close while we still write; what it said first is still to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(octets)

    def expect(self, kind: type[P], *, within_s: float = 10.0, **fields: object) -> P:
        """The next packet is of this kind and these fields have these values."""
        packet = self.next_packet(within_s=within_s)
        assert isinstance(packet, kind), f"{kind.__name__} expected, got {packet}"
        for name, wanted in fields.items():
            found = getattr(packet, name)
            assert found == wanted, f"{name}: {wanted!r} expected, got {found!r} in {packet}"
        return packet

    def expect_bytes(self, pattern: str, *, within_s: float = 10.0) -> bytes:
        """The next bytes are these; ".." stands for any one byte."""
        wanted = pattern.split()
        deadline = time.monotonic() + within_s
        while len(self._pending) < len(wanted) and not self._ended:
            if not self._receive(deadline):
                break
        found, self._pending = self._pending[: len(wanted)], self._pending[len(wanted) :]
        same = len(found) == len(wanted) and all(
            hexes == ".." or int(hexes, 16) == octet for hexes, octet in zip(wanted, found, strict=True)
        )
        assert same, f"{pattern!r} expected, got {found.hex(' ')!r}{self._state()}"
        return found

    def expect_close(self, *, within_s: float = 10.0) -> None:
        """The broker closes the connection and says nothing before it does."""
        deadline = time.monotonic() + within_s
        while not self._ended:
            came = self._receive(deadline)
            assert not self._pending, f"the close expected, got {self._pending.hex(' ')}"
            assert came or self._ended, f"not closed within {within_s} s"
        assert not self._pending, f"the close expected, got {self._pending.hex(' ')}"

    def expect_refusal(
        self,
        kind: type[Connack | Disconnect],
        *reasons: int,
        silent: bool = False,
        within_s: float = 10.0,
    ) -> int | None:
        """The broker says one of these reasons, then closes; what it said is returned.

        With `silent` it may also just close. A foreign broker may say any other reason of 0x80
        or above, or nothing: the standard leaves it that choice (4.13.1).
        """
        packet = self._packet(time.monotonic() + within_s)
        if packet is None:
            assert self._ended, f"neither refused nor closed within {within_s} s"
            assert silent or not self.strict, f"closed without {kind.__name__}"
            return None
        assert isinstance(packet, Connack | Disconnect), f"a refusal expected, got {packet}"
        said = f"refused by {packet}, not by {kind.__name__} {[hex(code) for code in reasons]}"
        if self.strict:
            assert isinstance(packet, kind), said
            assert packet.reason in reasons, said
        assert packet.reason, said
        self.expect_close(within_s=within_s)
        return packet.reason

    def expect_nothing(self, *, for_s: float = 0.3) -> None:
        """No byte comes, and the connection stays."""
        deadline = time.monotonic() + for_s
        while not self._pending and not self._ended:
            if not self._receive(deadline):
                break
        assert not self._pending, f"nothing expected, got {self._pending.hex(' ')}"
        assert not self._ended, "nothing expected, but the connection was closed"

    def expect_alive(self) -> None:
        """The next thing the broker says is the answer to a PINGREQ."""
        self.send(self.dialect.pingreq())
        self.expect(Pingresp)

    def next_packet(self, *, within_s: float = 10.0) -> Packet:
        """Whatever comes next, decoded."""
        packet = self._packet(time.monotonic() + within_s)
        assert packet is not None, f"no packet within {within_s} s{self._state()}"
        return packet

    def drop(self) -> None:
        """Close the Network Connection without DISCONNECT."""
        self._ended = True
        self._socket.close()

    def disconnect(self, reason: int | None = None) -> None:
        """DISCONNECT as a client should, and wait for the broker to close."""
        self.send(self.dialect.disconnect(reason))
        self.expect_close()
        self.drop()

    def _packet(self, deadline: float) -> Packet | None:
        while True:
            split = _split(self._pending)
            if split is not None:
                first, body, size = split
                self._pending = self._pending[size:]
                return read(first, body, level=self.dialect.level, size=size)
            if self._ended or not self._receive(deadline):
                assert not self._pending, f"half a packet: {self._pending.hex(' ')}{self._state()}"
                return None

    def _receive(self, deadline: float) -> bool:
        """Read once; false when time is over or the connection is."""
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            octets = self._socket.recv(65536)
        except TimeoutError:
            return False
        except (ConnectionResetError, OSError):
            octets = b""
        self._ended = not octets
        self._pending += octets
        return bool(octets)

    def _state(self) -> str:
        return " (connection closed)" if self._ended else ""


def _split(octets: bytes) -> tuple[int, bytes, int] | None:
    """The first whole packet: its first byte, its body, its size on the wire."""
    length = 0
    for place in range(4):
        at = 1 + place
        if at >= len(octets):
            return None
        octet = octets[at]
        length |= (octet & 0x7F) << (7 * place)
        if octet < 0x80:
            if place and octet == 0:
                raise BadPacketError("[MQTT-1.5.5-1] Remaining Length longer than needed")
            size = at + 1 + length
            return None if len(octets) < size else (octets[0], octets[at + 1 : size], size)
    raise BadPacketError("Remaining Length of more than four bytes")
