"""Faults on a broker under load, one after another, and a verdict at the end: what the tests and the long run share."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.packets import v5
from tests.conformance.received import Publish, Suback
from tests.faults.disk import Disk
from tests.faults.ledger import Publisher, Verdict, judge, read_all
from tests.faults.plant import connect, plant
from tests.security.process import Process

# QoS 2 over a kill is exactly once among the Sessions of one shard (SPECIFICATION, S4.5).
ONE_CORE = ("broker.cores=1",)
STALL_S = 1.0
READ_WITHIN_S = 60.0


def waiting(broker: Process) -> int:
    """Messages that the broker still has for somebody."""
    for line in broker.get("/metrics").splitlines():
        if line.startswith("bartizan_queued_messages "):
            return int(float(line.split()[1]))
    raise AssertionError("no gauge of queued messages")


@dataclass
class Run:
    """A broker on `disk` through any number of faults."""

    disk: Disk
    directory: Path
    seed: int
    settings: tuple[str, ...] = ONE_CORE
    publisher: Publisher = field(default_factory=Publisher)
    seen: Counter[bytes] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest_start_s: float = 0.0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def begin(self) -> None:
        """A Session that is not there, so that all is kept for it."""
        with ExitStack() as stack, plant(self._data, *self.settings) as broker:
            dash = connect(stack, broker, "dash-01", "dash-01")
            dash.send(v5.subscribe(1, ("s/a/1", 1), ("s/a/2", 2)))
            dash.expect(Suback)
            assert broker.end() == 0

    def kill(self) -> None:
        """`kill -9` at some moment under load."""
        self._under_load("kill", lambda broker: broker.process.kill())

    def cut_power(self) -> None:
        """The disk loses its power under load, and the broker goes on with a copy of what was on it."""

        def cut(broker: Process) -> None:
            # The process first: a machine without power acknowledges nothing. With the disk gone and the process
            # alive for a moment, ext4 lets a sync that is under way succeed whose data it has given up.
            broker.process.kill()
            self.disk.cut_power()

        self._under_load("power cut", cut)
        place = self.directory / f"after-{self.faults.total()}"
        place.mkdir()
        before, self.disk = self.disk, self.disk.copy(place)
        before.unmount()
        before.image.unlink()
        self.disk.mount()

    def stall(self) -> None:
        """The disk stands still under load for a while, and the kill comes as it goes on."""

        def stall(broker: Process) -> None:
            with self.disk.stalled():
                time.sleep(STALL_S)
            broker.process.kill()

        self._under_load("stalled disk, then kill", stall)

    def one(self) -> None:
        """A fault that the seed chooses."""
        self._chance.choice([self.kill, self.kill, self.cut_power, self.cut_power, self.stall])()

    def drain(self) -> None:
        """The Session comes back and takes some of what waits for it; it is killed in the middle of it."""
        with ExitStack() as stack, plant(self._data, *self.settings) as broker:
            dash = connect(stack, broker, "dash-01", "dash-01")
            ends = time.monotonic() + self._chance.uniform(0.05, 0.5)
            while time.monotonic() < ends:
                with suppress(AssertionError):
                    packet = dash.next_packet(within_s=0.05)
                    # QoS 1 alone: whether QoS 2 came twice is seen only by who takes all of it.
                    if isinstance(packet, Publish) and packet.qos == 1 and packet.pid is not None:
                        self.seen[packet.payload] += 1
                        dash.send(v5.puback(packet.pid))
            broker.process.kill()
            broker.process.wait(60)
        self.faults["kill of a reader's broker"] += 1

    def end(self) -> Verdict:
        """Everything that is owed is taken, everything that waits is read."""
        with ExitStack() as stack, plant(self._data, *self.settings) as broker:
            press = connect(stack, broker, "press-01", "press-01")
            self.publisher.resume(press)
            self.publisher.settle(press)
            dash = connect(stack, broker, "dash-01", "dash-01")
            ends = time.monotonic() + READ_WITHIN_S
            while waiting(broker) and time.monotonic() < ends:
                self.seen += read_all(dash, quiet_s=1)
            assert waiting(broker) == 0, "the reader was not given all that waits"
            assert broker.end() == 0
        return judge(self.publisher, self.seen)

    def close(self) -> None:
        """Unmounts what it goes on with."""
        self.disk.unmount()

    @property
    def _data(self) -> Path:
        return self.disk.place / "data"

    def _under_load(self, name: str, fault: Callable[[Process], None]) -> None:
        started = time.monotonic()
        with ExitStack() as stack, plant(self._data, *self.settings) as broker:
            self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - started)
            timer = threading.Timer(self._chance.uniform(0.2, 1.0), fault, (broker,))
            timer.start()
            with suppress(AssertionError, OSError):
                self.publisher.work(connect(stack, broker, "press-01", "press-01"))
            timer.join()
            broker.process.wait(60)
        self.faults[name] += 1
