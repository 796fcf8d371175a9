"""A subscriber that is slow or has stopped: what it costs the others, and the broker's memory.

Neighbours exchange messages on the topic that it subscribes to, once alone and once beside it. What is
asserted of time is a deadline, and a ratio that only a broker which waits for the slow one would miss.
"""

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.conformance.packets import v311
from tests.left_out import require_program
from tests.security.party import HOST, listener
from tests.security.process import Process, running

TOPIC = "plant/line"
PAYLOAD_BYTES = 1_000
BURST = 20
EVERY_S = 0.005
SECONDS = 3.0
DEADLINE_S = 2.0
MIB = 1 << 20
POLICY = '[roles.anonymous]\npermit = [{ action = "all", filter = "#" }]\n'
GATEWAY, DEVICE = b"g", b"d"
FRAME = len(v311.publish(TOPIC, bytes(PAYLOAD_BYTES)))


@pytest.fixture(params=[1, 2], ids=["one reactor", "two reactors"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    limits = {"publish_rate_per_s": 10**6, "publish_bytes_per_s": 10**9, "out_buffer_bytes_max": MIB}
    settings = (listener("open", limits=limits), f"policy.file={policy}", f"broker.cores={request.param}")
    with running(tmp_path / "data", *settings) as process:
        yield process


def dial(broker: Process, client_id: str, *, receive_bytes: int | None = None) -> socket.socket:
    """A client that is connected."""
    stream = socket.socket()
    if receive_bytes is not None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    stream.settimeout(DEADLINE_S)
    stream.connect((HOST, broker.port("open")))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.sendall(v311.connect(client_id))
    assert take(stream, 4) == bytes.fromhex("20020000")
    return stream


def subscribe(stream: socket.socket, qos: int = 0) -> None:
    stream.sendall(v311.subscribe(1, (TOPIC, qos)))
    assert take(stream, 5) == bytes([0x90, 3, 0, 1, qos])


def take(stream: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        part = stream.recv(count - len(octets))
        assert part, "the broker closed the connection"
        octets += part
    return octets


def metric(broker: Process, name: str) -> int:
    line = next(line for line in broker.get("/metrics").splitlines() if line.startswith(f"{name} "))
    return int(float(line.split()[1]))


def stamped(kind: bytes, count: int, qos: int) -> bytes:
    """Messages that say who sent them, and when."""
    payload = (kind + time.monotonic_ns().to_bytes(8)).ljust(PAYLOAD_BYTES)
    return b"".join(v311.publish(TOPIC, payload, qos=qos, pid=n if qos else None) for n in range(1, count + 1))


def exchange(broker: Process, qos: int = 0) -> dict[bytes, list[float]]:
    """A gateway and a device publish for a while to one neighbour, which misses nothing and waits for nothing longer
    than the deadline. Returns the delay of each message, in seconds."""
    with (
        dial(broker, "gateway") as gateway,
        dial(broker, "device") as device,
        dial(broker, "receives") as receives,
    ):
        subscribe(receives)
        rounds = int(SECONDS / EVERY_S)
        delays: dict[bytes, list[float]] = {GATEWAY: [], DEVICE: []}

        def receive() -> None:
            for _ in range(rounds * (BURST + 1)):
                payload = take(receives, FRAME)[FRAME - PAYLOAD_BYTES :]
                delays[payload[:1]].append((time.monotonic_ns() - int.from_bytes(payload[1:9])) / 1e9)

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        began = time.monotonic()
        for n in range(rounds):
            for sends, kind, count in ((gateway, GATEWAY, BURST), (device, DEVICE, 1)):
                sends.sendall(stamped(kind, count, qos))
            for sends, count in ((gateway, BURST), (device, 1)):
                take(sends, 4 * count if qos else 0)
            time.sleep(max(0.0, began + n * EVERY_S - time.monotonic()))
        reader.join(DEADLINE_S)
        assert [len(delays[GATEWAY]), len(delays[DEVICE])] == [rounds * BURST, rounds], "not every message came"
        assert max(delays[GATEWAY] + delays[DEVICE]) < DEADLINE_S
        return delays


@contextmanager
def stopped_process(broker: Process) -> Iterator[None]:
    """A real client whose process is stopped."""
    program = require_program("mosquitto_sub", "mosquitto-clients")
    words = ["-h", HOST, "-p", str(broker.port("open")), "-t", TOPIC, "-t", "ready", "-F", "%t"]
    client = subprocess.Popen([program, *words], stdout=subprocess.PIPE)
    assert client.stdout is not None
    try:
        with client.stdout, dial(broker, "says-when") as stream:
            os.set_blocking(client.stdout.fileno(), False)
            ends = time.monotonic() + 10
            while not client.stdout.read():
                assert time.monotonic() < ends, "mosquitto_sub did not subscribe"
                stream.sendall(v311.publish("ready", b""))
                time.sleep(0.05)
            client.send_signal(signal.SIGSTOP)
            yield
    finally:
        client.kill()
        client.wait(60)


@contextmanager
def closed_window(broker: Process) -> Iterator[None]:
    """A client that reads nothing: its window goes to zero."""
    with dial(broker, "stopped", receive_bytes=4_096) as stream:
        subscribe(stream)
        yield


@contextmanager
def acknowledges_nothing(broker: Process) -> Iterator[None]:
    """A client of QoS 1 that reads everything and acknowledges nothing."""
    with dial(broker, "silent") as stream:
        subscribe(stream, qos=1)
        ended = threading.Event()

        def read() -> None:
            with contextlib.suppress(OSError):
                while not ended.is_set():
                    stream.recv(65_536)

        threading.Thread(target=read, daemon=True).start()
        yield
        ended.set()


STOPPED: list[tuple[str, Callable[[Process], AbstractContextManager[None]], int]] = [
    ("its process is stopped", stopped_process, 0),
    ("its window is closed", closed_window, 0),
    ("it acknowledges nothing", acknowledges_nothing, 1),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("how", "stopped", "qos"), STOPPED, ids=[how for how, _, _ in STOPPED])
def test_a_subscriber_that_has_stopped_harms_nobody_and_takes_bounded_memory(
    broker: Process, how: str, stopped: Callable[[Process], AbstractContextManager[None]], qos: int
):
    alone = exchange(broker, qos)
    before = broker.resident_bytes()
    with stopped(broker):
        beside = exchange(broker, qos)
        grown = broker.resident_bytes() - before
        dropped = metric(broker, "bartizan_publish_dropped_total")
    print(
        f"{how}: median {median(alone) * 1e3:.2f} -> {median(beside) * 1e3:.2f} ms, "
        f"p99 {p99(alone) * 1e3:.2f} -> {p99(beside) * 1e3:.2f} ms, {grown / MIB:.1f} MiB, {dropped} dropped; "
        f"the gateway's last {max(alone[GATEWAY]) * 1e3:.0f} -> {max(beside[GATEWAY]) * 1e3:.0f} ms"
    )
    assert dropped > 0, "what finds no room is dropped, and counted"
    assert p99(beside) < 20 * p99(alone) + 0.1
    assert grown < 16 * MIB, "what waits for one client is bounded"


def median(delays: dict[bytes, list[float]]) -> float:
    return statistics.median(delays[DEVICE])


def p99(delays: dict[bytes, list[float]]) -> float:
    return statistics.quantiles(delays[DEVICE], n=100)[-1]


@pytest.mark.timeout(120)
def test_a_subscriber_that_is_slower_than_a_flood_slows_it_and_loses_nothing(broker: Process):
    # Several times what may wait for it, and little enough that a busy machine too lets it be read within the
    # seconds for which a client may hold others back.
    count = 6_000
    with dial(broker, "flood") as flood, dial(broker, "slow", receive_bytes=MIB // 2) as slow:
        subscribe(slow)
        flood.settimeout(60)
        slow.settimeout(60)
        sender = threading.Thread(
            target=flood.sendall, args=(v311.publish(TOPIC, bytes(PAYLOAD_BYTES)) * count,), daemon=True
        )
        sender.start()
        left = count * FRAME
        while left:
            part = slow.recv(min(left, 65_536))
            assert part, "the broker closed the connection"
            left -= len(part)
            time.sleep(0.004)
        sender.join(DEADLINE_S)
        assert metric(broker, "bartizan_publish_dropped_total") == 0
        assert metric(broker, "bartizan_publishers_held_back_total") > 0
