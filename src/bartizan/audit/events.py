"""Security events -> their own log, by a thread: a flood neither fills the disk, nor delays a change, nor the broker.

They have a log of their own, so that no number of them can push out, or hold up, the record of a change. What comes
within a second and is alike is one record with a count; what does not fit the bytes of a minute is counted by kind,
and told. The event loop hands over what it has anyway, and never waits.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from bartizan.audit.canonical import canonical, plain
from bartizan.audit.keys import SigningKey
from bartizan.audit.log import Keep, Log, Synced, untold
from bartizan.audit.record import Entry, Kind
from bartizan.audit.segments import EVENTS
from bartizan.config.audit import AuditSettings
from bartizan.errors import StoreUnavailable
from bartizan.model.actor import BROKER, Actor, Way

LEFT_OUT: Final = "events.left_out"

WINDOW_S: Final = 1.0
"""What comes within it is written together."""

BATCHES_MAX: Final = 4_096
"""Hand-overs that wait for the thread; what comes beyond is counted."""

ALIKE_MAX: Final = 512
"""Kinds of events told apart in one window; what comes beyond is counted."""

TELL_LEFT_OUT_S: Final = 10.0
"""What was left out is told once in this time."""

CLOSE_TIMEOUT_S: Final = 5.0
_LINE_OVERHEAD_BYTES: Final = 300
_APART = ("event", "address", "tenant", "reason", "why", "limit", "action", "kind", "about", "broken")
"""What makes two events unlike, with who has proved itself. A Client Identifier, a topic or a port is the peer's to choose, as often as it likes."""

_BY_OPERATORS = frozenset({"operator_logged_in", "operator_denied"})
"""Events whose operator has proved itself."""

_PLACED = frozenset({"event", "at_ms", "identity", "address", "client_id", "why"})

Event = Mapping[str, Any]


@dataclass(slots=True)
class _Alike:
    """Events that are alike: the first of them, how many, and when the last one was."""

    first: Event
    count: int = 0
    last_ms: int = 0


class EventBook:
    """Writes the events that are wanted. `take` may be called from any thread, and returns at once."""

    def __init__(
        self,
        log: Log,
        settings: AuditSettings,
        wanted: Callable[[str], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = log
        self._bytes_max = settings.event_bytes_per_minute_max
        self._wanted = wanted
        self._clock = clock
        self._waiting: queue.Queue[Sequence[Event] | None] = queue.Queue(BATCHES_MAX)
        self._unread = 0
        self._left_out: Counter[str] = Counter()
        self._told_at = float("-inf")
        self._minute = float("-inf")
        self._spent = 0
        self._thread = threading.Thread(target=self._run, name="bartizan-audit", daemon=True)

    @classmethod
    def of(
        cls,
        directory: Path,
        settings: AuditSettings,
        wanted: Callable[[str], str | None],
        synced: Synced = untold,
    ) -> Self:
        """The book of this directory. `wanted` gives the severity of a kind of event; None: it is not recorded."""
        keep = Keep(settings.events_keep_days, settings.events_bytes_max)
        return cls(Log(directory / EVENTS, SigningKey(directory), settings, keep, synced=synced), settings, wanted)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def take(self, events: Sequence[Event]) -> None:
        """Hands events over."""
        try:
            self._waiting.put_nowait(events)
        except queue.Full:
            self._unread += len(events)

    def close(self) -> None:
        """Writes what waits, for a moment at most."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            batches, goes_on = self._window()
            self.write(batches, at_end=not goes_on)

    def _window(self) -> tuple[list[Sequence[Event]], bool]:
        """What came in one window after the first of it; False when it was the last."""
        batches: list[Sequence[Event]] = []
        ends = None
        while True:
            try:
                left = TELL_LEFT_OUT_S if ends is None else ends - self._clock()
                batch = self._waiting.get(timeout=max(0.0, left))
            except queue.Empty:
                return batches, True
            if batch is None:
                return batches, False
            batches.append(batch)
            ends = ends or self._clock() + WINDOW_S

    def write(self, batches: Sequence[Sequence[Event]], *, at_end: bool = False) -> None:
        """Writes what is wanted of them; where the disk does not take it, that is left out as well."""
        groups = self._groups(batches)
        entries = [entry for group in groups if (entry := self._entry(group)) is not None]
        unread, self._unread = self._unread, 0
        if unread:
            self._left_out["unread"] += unread
        left_out = Counter[str]()
        now = self._clock()
        if self._left_out and (at_end or now - self._told_at >= TELL_LEFT_OUT_S):
            left_out, self._left_out, self._told_at = self._left_out, Counter(), now
            entries.append(Entry(Kind.EVENT, LEFT_OUT, BROKER, detail={"count": dict(left_out)}))
        if not entries:
            return
        try:
            self.log.append(entries)
        except StoreUnavailable:
            self._left_out.update(left_out)
            self._left_out.update({group.first["event"]: group.count for group in groups})

    def _groups(self, batches: Sequence[Sequence[Event]]) -> list[_Alike]:
        groups: dict[tuple[object, ...], _Alike] = {}
        for batch in batches:
            for event in batch:
                kind = str(event.get("event", ""))
                if self._wanted(kind) is None:
                    continue
                key = (_who(event), *[_hashable(event.get(name)) for name in _APART])
                group = groups.get(key)
                if group is None:
                    if len(groups) >= ALIKE_MAX:
                        self._left_out[kind] += _told_by(event)
                        continue
                    group = groups[key] = _Alike(event)
                group.count += _told_by(event)
                group.last_ms = event.get("at_ms", 0)
        return list(groups.values())

    def _entry(self, group: _Alike) -> Entry | None:
        """The record of it; None, and counted, where the bytes of this minute are spent."""
        entry = _entry(group, self._wanted(str(group.first["event"])) or "")
        octets = len(canonical(plain(entry.detail))) + len(entry.target) + len(entry.why) + _LINE_OVERHEAD_BYTES
        now = self._clock()
        if now - self._minute >= 60:  # noqa: PLR2004  a minute
            self._minute, self._spent = now, 0
        if self._spent + octets > self._bytes_max:
            self._left_out[entry.what] += group.count
            return None
        self._spent += octets
        return entry


def _entry(group: _Alike, severity: str) -> Entry:
    event = group.first
    detail = {key: value for key, value in event.items() if key not in _PLACED and value not in (None, "")}
    detail["severity"] = severity
    if group.count > 1:
        detail |= {"count": group.count, "last_at": _time(group.last_ms).isoformat(timespec="milliseconds")}
    client_id = event.get("client_id") or ""
    way = Way.CLIENT if event.get("address") else Way.BROKER
    return Entry(
        Kind.EVENT,
        str(event["event"]),
        Actor(_who(event) or "unknown", str(event.get("address") or ""), way),
        f"client/{client_id}" if client_id else "",
        why=str(event.get("why") or ""),
        at=_time(event.get("at_ms", 0)),
        detail=detail,
    )


def _who(event: Event) -> str:
    """Who has proved itself: an identity, or an operator. Who was refused has only said a name."""
    proved = event.get("operator") if event.get("event") in _BY_OPERATORS else event.get("identity")
    return str(proved or "")


def _told_by(event: Event) -> int:
    """How many events it stands for: the engine tells the rest of a flood as one `repeated`."""
    count = event.get("count")
    return count if event.get("event") == "repeated" and isinstance(count, int) else 1


def _hashable(value: object) -> object:
    return value if isinstance(value, str | int | None) else str(value)


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
