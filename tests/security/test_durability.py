"""Durability seen from outside: kills under load, and a disk that is full."""

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import Will, v5
from tests.conformance.received import Connack, Puback, Pubcomp, Publish, Pubrec, Pubrel, Suback
from tests.conformance.wire import Wire
from tests.security.party import HOST, QUOTA_EXCEEDED, plain, tls_context
from tests.security.process import Process, running

KILLS = 6
WINDOW = 32
KEPT = {"session_expiry_interval": 3_600}
POLICY = """
[topics."{site}/{asset}/#"]
publish   = ["press"]
subscribe = ["dashboard"]
[roles.press]
[roles.dashboard]
"""
ROOM = (
    "limits.queued_messages_max=1000000",
    "limits.queued_bytes_max=1073741824",
    "limits.publish_rate_per_s=1000000",
    "limits.publish_burst=1000000",
    "limits.publish_bytes_per_s=1073741824",
    "broker.sys_interval_s=0",
)


@contextmanager
def plant(data: Path) -> Iterator[Process]:
    """A broker on `data`, with a policy that sets no rates."""
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    with running(data, *ROOM) as broker:
        yield broker


def connect(stack: ExitStack, broker: Process, name: str, client_id: str, **more: Any) -> Wire:
    """A connection of a demo identity whose Session is kept."""
    bundle = broker.data / "demo" / name
    context = tls_context(str(broker.data / "pki" / "ca.crt"))
    context.load_cert_chain(str(bundle / f"{name}.crt"), str(bundle / f"{name}.key"))
    wire = Wire(context.wrap_socket(plain(broker.port("mqtts")), server_hostname=HOST))
    stack.callback(wire.drop)
    wire.send(v5.connect(client_id, clean=False, props=KEPT, **more))
    wire.expect(Connack, reason=0, within_s=5)
    return wire


@dataclass
class Publisher:
    """Publishes numbers at QoS 1 and 2 and follows the protocol across broken connections."""

    acknowledged: set[bytes] = field(default_factory=set)
    sent_qos_2: set[bytes] = field(default_factory=set)
    retained: int = 0
    _next: int = 0
    _unacknowledged: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    _released: dict[int, None] = field(default_factory=dict)

    def resume(self, wire: Wire) -> None:
        """Sends again what was not acknowledged, as [MQTT-4.4.0-1] says."""
        for pid, (payload, qos) in self._unacknowledged.items():
            wire.send(v5.publish(f"s/a/{qos}", payload, qos=qos, pid=pid, dup=True, retain=qos == 1))
        for pid in self._released:
            wire.send(v5.pubrel(pid))

    def work(self, wire: Wire) -> None:
        """Publishes until the connection breaks."""
        self.resume(wire)
        while True:
            while len(self._unacknowledged) + len(self._released) < WINDOW:
                self._publish(wire)
            self._take(wire)

    def _publish(self, wire: Wire) -> None:
        self._next += 1
        qos, pid = 1 + self._next % 2, 1 + self._next % 60_000
        payload = f"{qos}-{self._next}".encode()
        self._unacknowledged[pid] = (payload, qos)
        if qos == 2:
            self.sent_qos_2.add(payload)
        wire.send(v5.publish(f"s/a/{qos}", payload, qos=qos, pid=pid, retain=qos == 1))

    def _take(self, wire: Wire) -> None:
        packet = wire.next_packet(within_s=5)
        if isinstance(packet, Puback):
            assert packet.reason == 0
            payload, _ = self._unacknowledged.pop(packet.pid)
            self.acknowledged.add(payload)
            self.retained = max(self.retained, int(payload[2:]))
        elif isinstance(packet, Pubrec):
            if packet.pid in self._unacknowledged:
                self.acknowledged.add(self._unacknowledged.pop(packet.pid)[0])
            self._released[packet.pid] = None
            wire.send(v5.pubrel(packet.pid))
        elif isinstance(packet, Pubcomp):
            self._released.pop(packet.pid, None)


def read_all(wire: Wire, *, quiet_s: float = 1.0) -> Counter[bytes]:
    """Takes everything that waits for a Session."""
    seen: Counter[bytes] = Counter()
    while True:
        try:
            packet = wire.next_packet(within_s=quiet_s)
        except AssertionError:
            return seen
        if isinstance(packet, Publish):
            seen[packet.payload] += 1
            assert packet.pid is not None
            wire.send(v5.puback(packet.pid) if packet.qos == 1 else v5.pubrec(packet.pid))
        elif isinstance(packet, Pubrel):
            wire.send(v5.pubcomp(packet.pid))


def test_nothing_acknowledged_is_lost_by_kills_under_load_and_qos_2_comes_once(tmp_path: Path):
    chance, publisher = random.Random(7), Publisher()
    with ExitStack() as stack:
        for kill in range(KILLS):
            with plant(tmp_path / "data") as broker:
                if kill == 0:
                    dash = connect(stack, broker, "dash-01", "dash-01")
                    dash.send(v5.subscribe(1, ("s/a/1", 1), ("s/a/2", 2)))
                    dash.expect(Suback, reasons=(1, 2))
                    dash.drop()
                timer = threading.Timer(chance.uniform(0.4, 1.2), broker.process.kill)
                timer.start()
                with pytest.raises((AssertionError, OSError)):
                    publisher.work(connect(stack, broker, "press-01", "press-01"))
                timer.join()
        assert len(publisher.acknowledged) > 100 * KILLS
        with plant(tmp_path / "data") as broker:
            press = connect(stack, broker, "press-01", "press-01")
            publisher.resume(press)
            while publisher._unacknowledged or publisher._released:
                publisher._take(press)
            dash = connect(stack, broker, "dash-01", "dash-01")
            seen = read_all(dash)
            assert publisher.acknowledged <= set(seen)
            assert publisher.sent_qos_2 <= set(seen)
            assert {payload for payload, count in seen.items() if payload[:1] == b"2" and count != 1} == set()
            late = connect(stack, broker, "dash-01", "dash-01-late")
            late.send(v5.subscribe(1, ("s/a/1", 1)))
            late.expect(Suback)
            assert int(late.expect(Publish, retain=True).payload[2:]) >= publisher.retained


@pytest.mark.parametrize("alive", [True, False], ids=["connected", "already-gone"])
def test_a_delayed_will_fires_after_a_kill(tmp_path: Path, *, alive: bool):
    with ExitStack() as stack:
        with plant(tmp_path / "data") as broker:
            will = Will(topic="s/a/will", payload=b"gone", qos=1, props={"will_delay_interval": 2})
            press = connect(stack, broker, "press-01", "press-01", will=will)
            dash = connect(stack, broker, "dash-01", "dash-01")
            dash.send(v5.subscribe(1, ("s/a/will", 1)))
            dash.expect(Suback)
            if not alive:
                press.drop()
                broker.wait_for("disconnected", client_id="press-01")
                # The store writes the Will's time with the next batch, at once but not at the same moment.
                time.sleep(0.3)
            broker.process.kill()
            broker.process.wait(10)
        with plant(tmp_path / "data") as broker:
            dash = connect(stack, broker, "dash-01", "dash-01")
            dash.expect(Publish, payload=b"gone", within_s=6)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this system lets no test mount a disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_refuses_what_it_cannot_keep_reads_on_and_recovers_by_itself(small_disk: Path):
    payload = b"x" * 500_000
    with ExitStack() as stack, plant(small_disk / "data") as broker:
        dash = connect(stack, broker, "dash-01", "dash-01")
        dash.send(v5.subscribe(1, ("s/a/1", 1)))
        dash.expect(Suback)
        dash.drop()
        press, live = connect(stack, broker, "press-01", "press-01"), connect(stack, broker, "dash-01", "dash-01-live")
        live.send(v5.subscribe(1, "s/live/+"))
        live.expect(Suback)
        kept = fill(press, payload)
        assert kept > 20
        press.send(v5.publish("s/a/1", payload, qos=2, pid=1))
        press.expect(Pubrec, reason=QUOTA_EXCEEDED)
        press.send(v5.publish("s/live/1", b"still"))
        live.expect(Publish, payload=b"still")
        assert "bartizan_store_full 1.0" in broker.get("/metrics")
        dash = connect(stack, broker, "dash-01", "dash-01")
        seen = read_all(dash, quiet_s=2)
        assert sum(seen.values()) == kept
        ends = time.monotonic() + 20
        while True:
            press.send(v5.publish("s/live/2", b"again", qos=1, pid=1))
            if press.expect(Puback, within_s=5).reason != QUOTA_EXCEEDED:
                break
            assert time.monotonic() < ends, "it did not recover"
            time.sleep(0.2)


def fill(press: Wire, payload: bytes) -> int:
    """Publishes until the disk is full; how many were acknowledged."""
    for number in range(5_000):
        press.send(v5.publish("s/a/1", payload, qos=1, pid=1))
        if press.expect(Puback, within_s=5).reason == QUOTA_EXCEEDED:
            return number
    raise AssertionError("the disk never was full")
