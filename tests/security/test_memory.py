"""The bound of SPECIFICATION.md: what a stranger's connection costs in memory before CONNECT is accepted.

A thousand connections stand at one stage each, and what the process has grown by is divided by them.
"""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.packets import v5
from tests.conformance.properties import sized, variable
from tests.security.party import HOST, plain, tls_context
from tests.security.process import Process, running

CONNECTIONS = 1_000
WARM_UP = 20
KIB = 1_024
CONNECT_BYTES_MAX = 64 * KIB
PATIENT = (
    "limits.connection_burst_per_prefix=100000",
    "limits.connections_per_prefix_max=100000",
    "limits.handshake_timeout_s=300",
    "limits.connect_timeout_s=300",
    "log.level=error",
    'listeners.plain={ bind = "127.0.0.1:0", loopback_only = true, danger_plaintext = "memory test on loopback" }',
)
# All but its last byte: a Will that fills the packet, so that every byte of it must be kept.
UNFINISHED = (
    b"\x10"
    + variable(CONNECT_BYTES_MAX - 4)
    + sized("MQTT")
    + b"\x05\x06\x00\x00\x00"
    + sized("c")
    + b"\x00"
    + sized("t")
    + b"\xff\xff"
    + b"x" * CONNECT_BYTES_MAX
)[: CONNECT_BYTES_MAX - 1]
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
)
HEAD_BYTES_MAX = 8 * KIB
GONE_WITHIN_S = 30.0
CROWD = 300


class Stranger:
    """Makes connections that stop half-way."""

    def __init__(self, broker: Process) -> None:
        self._context = tls_context(str(broker.data / "pki" / "ca.crt"))
        self._ports = {name: broker.port(name) for name in ("mqtts", "wss", "plain")}

    def tcp(self, name: str = "mqtts") -> socket.socket:
        return plain(self._ports[name])

    def half_tls(self) -> socket.socket:
        stream, outgoing = plain(self._ports["mqtts"]), ssl.MemoryBIO()
        try:
            self._context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
        except ssl.SSLWantReadError:
            stream.sendall(outgoing.read())
        return stream

    def tls(self, name: str = "mqtts") -> ssl.SSLSocket:
        return self._context.wrap_socket(plain(self._ports[name]), server_hostname=HOST)

    def half_upgrade(self) -> ssl.SSLSocket:
        stream = self.tls("wss")
        stream.sendall((UPGRADE + b"X: " + b"x" * HEAD_BYTES_MAX)[: HEAD_BYTES_MAX - 1])
        return stream

    def upgrade(self) -> ssl.SSLSocket:
        stream = self.tls("wss")
        stream.sendall(UPGRADE + b"\r\n")
        assert stream.recv(4_096).startswith(b"HTTP/1.1 101 ")
        return stream

    def plain_connect(self) -> socket.socket:
        stream = plain(self._ports["plain"])
        stream.sendall(UNFINISHED)
        return stream

    def tls_connect(self) -> ssl.SSLSocket:
        stream = self.tls()
        stream.sendall(UNFINISHED)
        return stream

    def websocket_connect(self) -> ssl.SSLSocket:
        stream = self.upgrade()
        stream.sendall(b"\x82\xff" + (2 * len(UNFINISHED)).to_bytes(8) + bytes(4) + UNFINISHED)
        return stream


STAGES: list[tuple[str, Callable[[Stranger], socket.socket], int]] = [
    ("TCP", lambda it: it.tcp("plain"), 4),
    ("TCP on a TLS listener", lambda it: it.tcp(), 8),
    ("half a TLS handshake", Stranger.half_tls, 24),
    ("TLS", Stranger.tls, 24),
    ("half an upgrade", Stranger.half_upgrade, 48),
    ("WebSocket", Stranger.upgrade, 32),
    ("half a CONNECT", Stranger.plain_connect, 72),
    ("half a CONNECT over TLS", Stranger.tls_connect, 112),
    ("half a CONNECT over WSS", Stranger.websocket_connect, 120),
]


def gone(broker: Process, descriptors: int) -> None:
    """Waits until the broker holds no more descriptors than these."""
    ends = time.monotonic() + GONE_WITHIN_S
    while broker.descriptors() > descriptors:
        assert time.monotonic() < ends, "connections are left"
        time.sleep(0.02)


def settled(broker: Process) -> int:
    """Resident memory once it no longer grows."""
    last = -1
    for _ in range(40):
        time.sleep(0.25)
        now = broker.resident_bytes()
        if now == last:
            break
        last = now
    return last


def given_back(broker: Process, until: int) -> int:
    """Resident memory once it is no more than this, or does not become so: free pages go back after a second or two."""
    ends = time.monotonic() + GONE_WITHIN_S
    while broker.resident_bytes() > until and time.monotonic() < ends:
        time.sleep(0.25)
    return settled(broker)


@pytest.mark.parametrize(("stage", "make", "kib_max"), STAGES, ids=[stage for stage, _, _ in STAGES])
def test_a_connection_before_connect_costs_no_more_than_its_bound(
    tmp_path: Path, stage: str, make: Callable[[Stranger], socket.socket], kib_max: int
):
    with running(tmp_path / "data", *PATIENT) as broker:
        stranger = Stranger(broker)
        held = [make(stranger) for _ in range(WARM_UP)]
        before = settled(broker)
        held += [make(stranger) for _ in range(CONNECTIONS)]
        each = (settled(broker) - before) / CONNECTIONS / KIB
        for stream in held:
            stream.close()
        print(f"{stage}: {each:.1f} KiB")
        assert each <= kib_max, f"{stage}: {each:.1f} KiB, more than {kib_max}"


def test_memory_comes_back_when_strangers_leave(tmp_path: Path):
    with running(tmp_path / "data", *PATIENT) as broker:
        stranger = Stranger(broker)
        held_bytes, left_bytes = [], []
        nobody, empty = broker.descriptors(), broker.resident_bytes()
        for _ in range(4):
            held = [stranger.tls_connect() for _ in range(CROWD)]
            held_bytes.append(settled(broker))
            for stream in held:
                stream.close()
            gone(broker, nobody)
            # With the first crowd comes what the broker makes once: tables of those whom it watches, pages of what
            # it has on record.
            left_bytes.append(given_back(broker, until=empty + (held_bytes[-1] - empty) // 2))
        seen = f"{empty} octets at first, with {CROWD} strangers {held_bytes}, without them {left_bytes}"
        assert all(left - empty <= (held - empty) // 2 for left, held in zip(left_bytes, held_bytes, strict=True)), seen
        assert left_bytes[-1] - left_bytes[0] < CROWD * 40 * KIB, seen


def test_the_bound_is_of_the_packet_that_arrives_not_of_the_one_it_announces(tmp_path: Path):
    with running(tmp_path / "data", *PATIENT) as broker:
        stranger = Stranger(broker)
        before = settled(broker)
        held = []
        for _ in range(CONNECTIONS):
            stream = stranger.tcp("plain")
            stream.sendall(v5.connect("x" * 60_000)[:100])
            held.append(stream)
        assert (settled(broker) - before) / CONNECTIONS < 8 * KIB
        for stream in held:
            stream.close()
