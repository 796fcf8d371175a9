"""Events as they happen (server-sent events): for each reader a bounded line, and what found no room in it is told.

The log hands over what it has and waits for nobody: a reader that is slow, or away, loses events, never the broker.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bartizan.broker.log import LEVELS, RANK, Journal, Level

READERS_MAX: Final = 16
EVENTS_WAITING_MAX: Final = 4_096
"""For one reader."""

LOOK_INTERVAL_S: Final = 0.2
ALIVE_INTERVAL_S: Final = 15.0
"""So often a comment is sent where nothing happens: a reader that is gone is noticed."""

CHECK_INTERVAL_S: Final = 5.0
"""So late a reader whose login ended hears nothing any more."""

MEDIA_TYPE: Final = "text/event-stream"

Event = Mapping[str, Any]
Fits = Callable[[Event], bool]


class Line:
    """What one reader is still to be told."""

    def __init__(self, fits: Fits) -> None:
        self._fits = fits
        self._waiting: deque[Event] = deque()
        self._lost = 0

    def see(self, events: Sequence[Event]) -> None:
        """Takes what there is room for. Called by whatever thread tells something."""
        for event in events:
            if not self._fits(event):
                continue
            if len(self._waiting) < EVENTS_WAITING_MAX:
                self._waiting.append(event)
            else:
                self._lost += 1

    def take(self) -> tuple[list[Event], int]:
        """All that waits, and how many found no room since the last time."""
        found = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lost, self._lost = self._lost, 0
        return found, lost


class Readers:
    """Those who read now."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lines: set[Line] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._lines)

    def open(self, fits: Fits) -> tuple[Line, Callable[[], None]]:
        """A line for one more, and what ends it; 503 where there are too many."""
        if len(self._lines) >= READERS_MAX:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{READERS_MAX} read events already", {"retry-after": "30"}
            )
        line = Line(fits)
        self._lines.add(line)
        unwatch = self._journal.watch(line.see)

        def end() -> None:
            unwatch()
            self._lines.discard(line)

        return line, end


class Streamed(StreamingResponse):
    """An answer that goes on; what feeds it ends with it, however it ends."""

    def __init__(self, lines: AsyncIterator[bytes], end: Callable[[], None]) -> None:
        super().__init__(lines, headers={"x-accel-buffering": "no"})
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


class EventStream(Streamed):
    """Events, for as long as somebody reads."""

    media_type = MEDIA_TYPE


async def lines_of(line: Line, goes_on: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """What is sent, for as long as `goes_on` says so: it is asked every few seconds."""
    yield b": events\n\n"
    check_due = monotonic() + CHECK_INTERVAL_S
    alive_due = monotonic() + ALIVE_INTERVAL_S
    while True:
        if monotonic() >= check_due:
            if not await goes_on():
                yield b"event: end\ndata: {}\n\n"
                return
            check_due = monotonic() + CHECK_INTERVAL_S
        found, lost = line.take()
        told = b"".join(map(_spelt, found))
        if lost:
            told += f'event: lost\ndata: {{"count": {lost}}}\n\n'.encode()
        if told:
            alive_due = monotonic() + ALIVE_INTERVAL_S
            yield told
        elif monotonic() >= alive_due:
            alive_due = monotonic() + ALIVE_INTERVAL_S
            yield b": alive\n\n"
        await asyncio.sleep(LOOK_INTERVAL_S)


def is_at_least(event: Event, level: Level) -> bool:
    """Whether an event is of this severity or worse."""
    return RANK[LEVELS.get(str(event.get("event", "")), "info")] >= RANK[level]


def _spelt(event: Event) -> bytes:
    # JSON in ASCII has no line break inside, so whatever a peer chose ends no event and begins none.
    kind = str(event.get("event", "unknown"))
    told = {"level": LEVELS.get(kind, "info")} | {key: value for key, value in event.items() if value is not None}
    return b"data: " + json.dumps(told, default=str).encode("ascii") + b"\n\n"
