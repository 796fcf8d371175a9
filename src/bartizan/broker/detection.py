"""Shows detectors what happens, keeps what they find, and tells it. Looked at in a thread, a second late at most.

What waits to be looked at is bounded: under a flood, which the engine tells by numbers, some signals may be passed
over, and that is told. Nothing here holds up a client.
"""

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from bartizan.authn.base import ConnectRequest
from bartizan.broker.figures import ByRole
from bartizan.broker.hands import hands_of
from bartizan.broker.log import Journal
from bartizan.broker.responding import Responding
from bartizan.config.detect import DetectSettings
from bartizan.detect.activity import Activity
from bartizan.detect.base import Detector
from bartizan.detect.builtin import builtin_detectors
from bartizan.detect.signals import signal_of
from bartizan.detect.watch import Watch
from bartizan.errors import ConfigurationError, InvalidValue, StoreUnavailable
from bartizan.model.actor import BROKER
from bartizan.model.finding import Kept, Severity
from bartizan.model.ids import NAME_CHARS_MAX
from bartizan.model.signal import LoginFailed, Signal, Tick
from bartizan.store.findings import FindingStore
from bartizan.store.responses import ResponseStore

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

LOOK_INTERVAL_S = 1.0
TAKE_INTERVAL_S = 2.0
"""How often the engine is asked what identities did."""

MEMORY_INTERVAL_S = 60.0
"""A broker that is killed forgets the last minute of what is usual."""

COUNT_INTERVAL_S = 10.0
"""The command line acknowledges in the file itself: so late the metrics know."""

WAITING_MAX = 65_536
"""Events that wait to be looked at; further ones are passed over, and counted."""

SIGNALS_PER_LOOK_MAX = 10_000

TICK_INTERVAL_S = 60.0

PSEUDONYM_BYTES = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """What identities did, as the engine told it at once."""

    activity: Activity
    at_s: float


Waiting = Mapping[str, Any] | LoginFailed | Tick | Batch


class Tallying(Protocol):
    """What counts what identities do."""

    def take_activity(self) -> Activity:
        """See `EnginePort`."""
        ...


class Known(Protocol):
    """Who exists."""

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        ...


class Detection:
    """The detectors of one broker."""

    def __init__(
        self,
        settings: DetectSettings,
        store: FindingStore,
        journal: Journal,
        directory: Known,
        detectors: Sequence[Detector] = (),
        responding: Responding | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._journal = journal
        self._directory = directory
        self.responding = responding
        self._watch = Watch(_detectors(settings, detectors))
        self._waiting: deque[Waiting] = deque()
        self._key = secrets.token_bytes(PSEUDONYM_BYTES)
        self._turn = asyncio.Lock()
        self._has_batch = False
        self._passed_over = 0
        self._count_due = 0.0
        self._tick_due = monotonic() + TICK_INTERVAL_S
        self._unwatch: Callable[[], None] = lambda: None
        self.by_role = ByRole()
        """What clients did since the start, by role."""
        self.skipped = 0
        """Signals that were passed over since the start."""
        self.told = 0
        """Findings that were told since the start."""
        self.open: Mapping[Severity, int] = dict.fromkeys(Severity, 0)
        """How many findings are open."""

    async def begin(self) -> None:
        """Remembers what it knew, and watches from now on."""
        if not self._settings.enabled:
            return
        try:
            for name, detector in self._watch.remembering:
                detector.remember(await asyncio.to_thread(self._store.remembered, name))
            self.open = await asyncio.to_thread(self._store.counts)
        except StoreUnavailable as error:
            # A broker that has forgotten what is usual learns it anew, and serves its clients all the same.
            self._journal.note("chore_failed", reason=f"what detectors remember: {error}")
        self._unwatch = self._journal.watch(self._see)

    def refused(self, request: ConnectRequest) -> None:
        """A credential proved nobody."""
        if not self._settings.enabled:
            return
        name = request.user_name
        if name is None:
            name = "" if request.certificate is None else request.certificate.common_name or ""
        # Longer than any identity's name it is none's, and what waits stays small.
        name = name[: NAME_CHARS_MAX + 1]
        self._wait((LoginFailed(at_s=_now(), name=name, is_known=False, address=request.address),))

    async def take(self, engine: Tallying) -> None:
        """Takes what identities did since the last time. While the last of it waits, the engine counts on: nothing is lost."""
        if not self._settings.enabled or self._has_batch:
            return
        activity = await asyncio.to_thread(engine.take_activity)
        self.by_role.add(activity.figures)
        self._pass_over(activity.unfit())
        if activity.fresh or activity.windows:
            self._has_batch = True
            self._waiting.append(Batch(activity, _now()))

    async def look(self) -> None:
        """Looks at what has happened since the last time, keeps what is found, and tells it."""
        async with self._turn:
            if self._settings.enabled and monotonic() >= self._tick_due:
                self._tick_due = monotonic() + TICK_INTERVAL_S
                self._wait((Tick(at_s=_now()),))
            waiting = list(islice(self._waiting, SIGNALS_PER_LOOK_MAX))
            for _ in waiting:
                self._waiting.popleft()
            if any(isinstance(each, Batch) for each in waiting):
                self._has_batch = False
            if waiting:
                names = {each.name for each in waiting if isinstance(each, LoginFailed)}
                known = await self._directory.known(names)
                for kept in await asyncio.to_thread(self._found, waiting, known):
                    self._tell(kept)
                    if self.responding is not None:
                        await self.responding.found(kept)
            await self._tell_failures()

    async def write(self) -> None:
        """Writes what detectors have to remember."""
        for name, detector in self._watch.remembering:
            async with self._turn:
                changed = detector.changed()
                if changed:
                    await asyncio.to_thread(self._store.remember, name, changed)

    async def end(self) -> None:
        """Looks at the last of it."""
        self._unwatch()
        while self._waiting:
            await self.look()
        await self.write()

    async def aclose(self) -> None:
        """Does what playbooks have begun."""
        if self.responding is not None:
            await self.responding.aclose()

    def _see(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._wait(events)

    def _wait(self, more: Sequence[Waiting]) -> None:
        room = max(0, WAITING_MAX - len(self._waiting))
        self._waiting.extend(more[:room])
        self._pass_over(max(0, len(more) - room))

    def _pass_over(self, count: int) -> None:
        self.skipped += count
        self._passed_over += count

    def _found(self, waiting: Sequence[Waiting], known: frozenset[str]) -> list[Kept]:
        """In a thread of its own: detectors compute, and the store waits for the disk."""
        # One after the other: all at once would be most of the broker's memory after a busy second.
        signals = (signal for each in waiting for signal in self._signals(each, known))
        findings = self._watch.look(signals)
        if not findings:
            return []
        told = self._store.put(findings)
        self._count_due = 0.0
        return told

    def _signals(self, waiting: Waiting, known: frozenset[str]) -> Iterable[Signal]:
        if isinstance(waiting, Batch):
            return waiting.activity.signals(waiting.at_s)
        signal = self._signal(waiting, known)
        return () if signal is None else (signal,)

    def _signal(self, waiting: Mapping[str, Any] | LoginFailed | Tick, known: frozenset[str]) -> Signal | None:
        if isinstance(waiting, Tick):
            return waiting
        if not isinstance(waiting, LoginFailed):
            return signal_of(waiting)
        if waiting.name in known:
            return replace(waiting, is_known=True)
        if waiting.name in self._settings.decoy_identities or not waiting.name:
            return waiting
        # People type passwords where a name belongs: of what is no identity's, only that it is the same again counts.
        digest = hashlib.blake2b(waiting.name.encode(errors="replace"), digest_size=PSEUDONYM_BYTES, key=self._key)
        return replace(waiting, name=f"?{digest.hexdigest()}")

    def _tell(self, kept: Kept) -> None:
        finding = kept.finding
        self.told += 1
        self._journal.note(
            "finding",
            number=kept.number,
            detector=finding.detector,
            about=str(finding.about),
            name=finding.name,
            score=finding.score,
            severity=str(finding.severity),
            technique=finding.technique,
            count=kept.count,
            text=finding.text,
        )

    async def _tell_failures(self) -> None:
        for reason in sorted(self._watch.take_failures()):
            self._journal.note("chore_failed", reason=reason)
        passed_over, self._passed_over = self._passed_over, 0
        if passed_over:
            self._journal.note("detection_behind", passed_over=passed_over)
        if monotonic() >= self._count_due:
            self._count_due = monotonic() + COUNT_INTERVAL_S
            self.open = await asyncio.to_thread(self._store.counts)


async def begun_detection(broker: "Broker", detectors: Sequence[Detector]) -> Detection:
    """The detection of a broker, and its playbooks."""
    file, settings = broker.data.findings, broker.settings
    responding = Responding(settings, hands_of(broker, BROKER), ResponseStore(file), broker.journal)
    store = FindingStore(file, settings.detect.findings_max)
    made = Detection(settings.detect, store, broker.journal, broker.directory, detectors, responding)
    await made.begin()
    return made


def _detectors(settings: DetectSettings, more: Sequence[Detector]) -> tuple[Detector, ...]:
    if not settings.enabled:
        return ()
    try:
        return (*builtin_detectors(settings), *more)
    except InvalidValue as error:
        raise ConfigurationError(str(error), "detect.decoy_topics", "correct the Topic Filter") from None


def _now() -> float:
    return datetime.now(UTC).timestamp()
