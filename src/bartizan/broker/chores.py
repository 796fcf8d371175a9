"""What a broker does beside its clients: watches identities, writes who was seen, looks after certificates, publishes `$SYS`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from bartizan.broker.aged import DUE_INTERVAL_S
from bartizan.broker.ages import FIRST_LOOK_S, LOOK_INTERVAL_S
from bartizan.broker.certificates import CARE_INTERVAL
from bartizan.broker.control import settle_roles
from bartizan.broker.crls import LOOK_INTERVAL_S as CRL_INTERVAL_S
from bartizan.broker.detection import LOOK_INTERVAL_S as DETECTION_INTERVAL_S
from bartizan.broker.detection import MEMORY_INTERVAL_S, TAKE_INTERVAL_S
from bartizan.broker.directory import POLL_INTERVAL_S
from bartizan.broker.hashes import HASHES_INTERVAL_S
from bartizan.broker.recording import awaited_by, carriers_started, events_recorded
from bartizan.broker.status import Loads, numbers, status_topics
from bartizan.broker.usage import WRITE_INTERVAL_S
from bartizan.broker.watching import WRITE_INTERVAL_S as OBSERVATIONS_INTERVAL_S
from bartizan.errors import BartizanError

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

SAMPLE_INTERVAL_S = 10.0
"""How often moving averages advance where `$SYS` is not published."""

SCHEDULE_INTERVAL_S = 6 * 3600.0
"""How often the engine is told how time windows go on: long before what it knows ends."""

RESPONDERS_INTERVAL_S = 60.0
"""How often it is looked whose OCSP answer is over while it stays connected."""

AUDIT_INTERVAL_S = 5.0
"""How often it is looked whether records wait for their checkpoint, and whether old ones may go."""

OVER_INTERVAL_S = 1.0
"""How often it is looked for bans and throttles that have ended and are stored yet."""

APPLY_PAUSE_S = 0.1
"""Identities enrolled one after the other are applied together, at most this often."""

TELL_AGAIN_S = 60.0
"""What fails again and again for the same reason is told once in this time."""


class Chores:
    """The background tasks of one broker. One that fails is told and goes on."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._tasks: set[asyncio.Task[object]] = set()
        self._loads = Loads.begin({}, 0.0)
        self._told_at: dict[str, float] = {}
        self._policy = asyncio.Event()
        self._policy.set()
        self._events = events_recorded(broker.settings, broker.data, broker.journal, broker.figures)
        self.carriers = carriers_started(broker.settings, broker.data, broker.journal)

    def start(self) -> None:
        """Begins all of them."""
        loop = asyncio.get_running_loop()
        self._loads = Loads.begin(self._broker.engine.metrics(), loop.time())
        interval_s = self._broker.settings.broker.sys_interval_s
        self._spawn(self._every(POLL_INTERVAL_S, self._broker.directory.refresh))
        self._spawn(self._apply_identities())
        self._spawn(self._settle_roles())
        self._spawn(self._every(WRITE_INTERVAL_S, self._broker.usage.write))
        self._spawn(self._every(OBSERVATIONS_INTERVAL_S, self._broker.watching.write_some))
        self._spawn(self._every(TAKE_INTERVAL_S, self._take_activity))
        self._spawn(self._every(OVER_INTERVAL_S, self._let_go))
        self._spawn(self._every(DETECTION_INTERVAL_S, self._broker.detection.look))
        self._spawn(self._every(MEMORY_INTERVAL_S, self._broker.detection.write))
        self._spawn(self._every(HASHES_INTERVAL_S, self._broker.hashes.write))
        self._spawn(self._every(CARE_INTERVAL.total_seconds(), self._broker.care_for_certificates))
        self._spawn(self._every(SCHEDULE_INTERVAL_S, self._tell_windows))
        self._spawn(self._every(CRL_INTERVAL_S, self._broker.care_for_crls))
        self._spawn(self._every(AUDIT_INTERVAL_S, self._care_for_audit))
        self._spawn(self._every(RESPONDERS_INTERVAL_S, self._broker.look_at_responders))
        self._spawn(self._watch_ages())
        self._spawn(self._every(DUE_INTERVAL_S, self._end_aged))
        self._spawn(self._every(interval_s or SAMPLE_INTERVAL_S, self._sample))
        if interval_s:
            self._publish_status()

    async def stop(self) -> None:
        """Ends all of them."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reload(self) -> None:
        """Reloads in the background: what SIGHUP does."""
        self._spawn(self._broker.reload())

    def policy_changed(self) -> None:
        """Another policy is in force."""
        self._policy.set()

    async def write_usage(self) -> None:
        """Writes the last uses, and what was found last: what the end of a broker does."""
        with self._told():
            await self._broker.usage.write()
        with self._told():
            await self._broker.detection.end()

    async def write_observations(self) -> None:
        """Writes what was observed last, while the engine can still tell it: what the end of a broker begins with."""
        with self._told():
            await self._broker.watching.end()
        with self._told():
            await self._take_activity()

    async def write_events(self) -> None:
        """Writes the last events into their log, and lets sinks have them: what a broker does last of all."""
        if self._events is not None:
            await asyncio.to_thread(self._events.close)
        for carrier in self.carriers:
            await asyncio.to_thread(carrier.close)

    def numbers(self) -> dict[str, float]:
        """Every number of `$SYS`, as of now."""
        broker = self._broker
        return numbers(broker.engine.metrics(), self._loads, broker.uptime_s())

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _every(self, interval_s: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            with self._told():
                await work()

    async def _apply_identities(self) -> None:
        directory = self._broker.directory
        while True:
            await directory.changed.wait()
            directory.changed.clear()
            with self._told():
                await self._broker.follow_identities()
                await self._broker.care_for_certificates()
            await asyncio.sleep(APPLY_PAUSE_S)

    async def _settle_roles(self) -> None:
        while True:
            await self._policy.wait()
            self._policy.clear()
            with self._told():
                await settle_roles(self._broker)

    async def _watch_ages(self) -> None:
        await asyncio.sleep(FIRST_LOOK_S)
        with self._told():
            await self._broker.ages.look()
        await self._every(LOOK_INTERVAL_S, self._broker.ages.look)

    async def _take_activity(self) -> None:
        await self._broker.detection.take(self._broker.engine)

    async def _end_aged(self) -> None:
        await self._broker.aged.look(self._broker.in_force.policy)

    async def _let_go(self) -> None:
        await self._broker.directory.let_go(self._broker.store)

    async def _care_for_audit(self) -> None:
        for log in (self._broker.trail.log, *([self._events.log] if self._events else [])):
            await asyncio.to_thread(log.checkpoint)
            awaited = awaited_by(self.carriers, log.directory.name, self._broker.settings)
            await asyncio.to_thread(log.retire, awaited)

    async def _tell_windows(self) -> None:
        if self._broker.in_force.policy.windows:
            await self._broker.in_force.put()
        await self._broker.watching.renew()

    async def _sample(self) -> None:
        self._loads = self._loads.advance(self._broker.engine.metrics(), asyncio.get_running_loop().time())
        if self._broker.settings.broker.sys_interval_s:
            self._publish_status()

    def _publish_status(self) -> None:
        broker = self._broker
        broker.engine.publish_status(
            status_topics(broker.engine.metrics(), self._loads, broker.uptime_s(), installed_version())
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tells an error that the next turn may not meet, and goes on."""
        try:
            yield
        except (BartizanError, OSError) as error:
            reason, now = str(error), asyncio.get_running_loop().time()
            if now - self._told_at.get(reason, float("-inf")) >= TELL_AGAIN_S:
                self._told_at = {reason: now}
                self._broker.journal.note("chore_failed", reason=reason)


def installed_version() -> str:
    """The version of this Bartizan."""
    try:
        return version("bartizan")
    except PackageNotFoundError:
        return "0"
