"""Durability seen from outside: kills under load, and a disk that is full."""

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.packets import Will, v5
from tests.conformance.received import Puback, Publish, Pubrec, Suback
from tests.conformance.wire import Wire
from tests.faults.ledger import Publisher, judge, read_all
from tests.faults.plant import connect, plant
from tests.security.party import QUOTA_EXCEEDED

KILLS = 6


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
            publisher.settle(press)
            dash = connect(stack, broker, "dash-01", "dash-01")
            seen = read_all(dash)
            assert judge(publisher, seen).is_good
            assert publisher.sent_qos_2 <= set(seen)
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
            broker.process.wait(60)
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
