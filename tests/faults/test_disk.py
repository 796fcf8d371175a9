"""Disks that stall, and disks that the system gives up: what clients are told meanwhile, and what is there after."""

import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.packets import v5
from tests.conformance.received import Puback, Publish, Suback
from tests.conformance.wire import Wire
from tests.faults.disk import Disk, disk_in
from tests.faults.ledger import Publisher, judge, read_all
from tests.faults.plant import connect, plant
from tests.security.process import COMMAND, Process

STALL_S = 2.0


def absent(stack: ExitStack, broker: Process) -> None:
    """A Session that is kept, and not there."""
    dash = connect(stack, broker, "dash-01", "dash-01")
    dash.send(v5.subscribe(1, ("s/a/1", 1), ("s/a/2", 2)))
    dash.expect(Suback)
    dash.drop()


def live(stack: ExitStack, broker: Process) -> Wire:
    """A subscriber of messages that nobody keeps."""
    wire = connect(stack, broker, "dash-01", "dash-01-live")
    wire.send(v5.subscribe(1, ("s/live/+", 0)))
    wire.expect(Suback)
    return wire


def test_a_disk_that_stalls_holds_acknowledgements_back_and_nothing_else(tmp_path: Path):
    publisher = Publisher()
    with disk_in(tmp_path) as disk, ExitStack() as stack, plant(disk.place / "data", "broker.cores=1") as broker:
        absent(stack, broker)
        press, other, dash = (
            connect(stack, broker, "press-01", "press-01"),
            connect(stack, broker, "press-01", "press-01-other"),
            live(stack, broker),
        )
        press.send(v5.publish("s/a/1", b"1-0", qos=1, pid=1))
        press.expect(Puback)
        with disk.stalled():
            stalled_at = time.monotonic()
            press.send(v5.publish("s/a/1", b"1-0", qos=1, pid=2))
            while time.monotonic() < stalled_at + STALL_S:
                other.send(v5.publish("s/live/1", b"through"))
                # QoS 0 does not wait for a disk: this one stands still until the end of the block.
                dash.expect(Publish, payload=b"through", within_s=30)
                time.sleep(0.05)
            with pytest.raises(AssertionError):
                press.next_packet(within_s=0.1)
        press.expect(Puback, within_s=5)
        assert time.monotonic() - stalled_at >= STALL_S
        # And under load, with a stall in the middle of it.
        ends = threading.Timer(0.3, lambda: stall(disk))
        ends.start()
        publisher.work(press, messages=2_000)
        publisher.settle(press)
        ends.join()
        assert broker.events("store_failed") == []
        seen = read_all(connect(stack, broker, "dash-01", "dash-01"), quiet_s=2)
        assert seen.pop(b"1-0") == 2
        assert judge(publisher, seen).is_good


def stall(disk: Disk) -> None:
    """Two seconds in which nothing is written."""
    with disk.stalled():
        time.sleep(STALL_S)


def test_a_disk_that_becomes_read_only_ends_acknowledgements_and_loses_none(tmp_path: Path):
    publisher = Publisher()
    with disk_in(tmp_path) as disk:
        with ExitStack() as stack, plant(disk.place / "data", "broker.cores=1") as broker:
            absent(stack, broker)
            press, other, dash = (
                connect(stack, broker, "press-01", "press-01"),
                connect(stack, broker, "press-01", "press-01-other"),
                live(stack, broker),
            )
            publisher.work(press, messages=500)
            publisher.settle(press)
            disk.make_read_only()
            with pytest.raises((AssertionError, OSError)):
                publisher.work(press, messages=50_000)
            acknowledged = len(publisher.acknowledged)
            # The log itself is on the disk that is gone; the control socket is not.
            ends = time.monotonic() + 10
            while "bartizan_store_failed 1.0" not in broker.get("/metrics"):
                assert time.monotonic() < ends, "nobody was told"
                time.sleep(0.1)
            other.send(v5.publish("s/live/1", b"through"))
            dash.expect(Publish, payload=b"through", within_s=5)
            assert len(publisher.acknowledged) == acknowledged
            broker.process.kill()
            broker.process.wait(60)
        disk.unmount()
        disk.mount()
        with ExitStack() as stack, plant(disk.place / "data", "broker.cores=1") as broker:
            press = connect(stack, broker, "press-01", "press-01")
            publisher.resume(press)
            publisher.settle(press)
            seen = read_all(connect(stack, broker, "dash-01", "dash-01"), quiet_s=2)
            assert judge(publisher, seen).is_good


def test_a_second_broker_on_the_directory_is_refused_and_the_first_goes_on(tmp_path: Path):
    with ExitStack() as stack, plant(tmp_path / "data") as broker:
        absent(stack, broker)
        command = [
            *COMMAND,
            "up",
            "--data",
            str(broker.data),
            "--set",
            "listeners.mqtts.bind=127.0.0.1:0",
            "--set",
            "api.bind=off",
        ]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 2
        assert f"process {broker.pid}" in second.stderr
        press = connect(stack, broker, "press-01", "press-01")
        press.send(v5.publish("s/a/1", b"1-0", qos=1, pid=1))
        assert press.expect(Puback).reason == 0


def test_two_data_directories_do_not_share_a_store(tmp_path: Path):
    with plant(tmp_path / "data") as broker:
        other = tmp_path / "other"
        shutil.copytree(broker.data, other, ignore=shutil.ignore_patterns("store", "*.sock", ".lock"))
        (other / "store").symlink_to(broker.data / "store")
        command = [
            *COMMAND,
            "up",
            "--data",
            str(other),
            "--set",
            "listeners.mqtts.bind=127.0.0.1:0",
            "--set",
            "api.bind=off",
        ]
        command += ["--set", "listeners.wss.bind=127.0.0.1:0"]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 2
        assert f"in use by process {broker.pid}" in second.stderr
