"""Packets of one client as they pass, for an operator: on record before the first of them, and again at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from bartizan.audit.record import Outcome
from bartizan.audit.trail import Span, Trail
from bartizan.broker.ports import TracePort
from bartizan.errors import BartizanError, InvalidValue, NotFound
from bartizan.model.actor import Actor

WHAT: Final = "client.trace"
"""As the record names it."""

TRACE_S_MAX: Final = 3_600.0
PACKETS_AT_ONCE: Final = 1_000
LOOK_INTERVAL_S: Final = 0.1
ALIVE_INTERVAL_S: Final = 2.0
"""So often an empty line is sent: a reader that is gone is noticed."""

NAME_CHARS_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see."""

    client_id: str
    for_s: float
    tenant: str | None = None
    """The tenant whose client it is."""
    payloads: bool = False
    octets: bool = False
    """The packets' octets, too."""

    def __post_init__(self) -> None:
        if not 0 < len(self.client_id) <= NAME_CHARS_MAX:
            raise InvalidValue("a trace is of one client: its Client Identifier is wanted")
        if not 0 < self.for_s <= TRACE_S_MAX:
            raise InvalidValue(f"a trace takes more than 0 s and at most {TRACE_S_MAX:.0f} s")


class Tracing:
    """The traces that are under way."""

    def __init__(self, engine: TracePort, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._ending: set[asyncio.Task[None]] = set()
        self._open: dict[int, Trace] = {}

    def under_way(self) -> list["Trace"]:
        """Those that somebody reads, the oldest first."""
        return list(self._open.values())

    def find(self, number: int) -> "Trace":
        """One that somebody reads, or `NotFound`."""
        found = self._open.get(number)
        if found is None:
            raise NotFound(f"no trace has the number {number}: it may be over")
        return found

    async def begin(self, wanted: Wanted, actor: Actor) -> "Trace":
        """A trace from now on; `ChangeRefused` where there are too many."""
        trail = self._trail.acting_as(actor)
        after = {"for_s": wanted.for_s, "payloads": wanted.payloads, "tenant": wanted.tenant or ""}
        span = await trail.begin(WHAT, f"client/{wanted.client_id}", after=after)
        try:
            number = await asyncio.to_thread(
                self._engine.trace,
                wanted.client_id,
                for_s=wanted.for_s,
                payloads=wanted.payloads,
                tenant=wanted.tenant,
            )
        except BartizanError as error:
            await asyncio.to_thread(trail.settle, span, WHAT, Outcome.FAILED, str(error))
            raise
        made = self._open[number] = Trace(self, wanted, number, trail, span)
        return made

    def take(self, trace: "Trace") -> bytes | None:
        """See `TracePort`."""
        return self._engine.take_trace(trace.number, PACKETS_AT_ONCE, octets=trace.wanted.octets)

    def end(self, trace: "Trace") -> None:
        """Ends it, whoever else was broken off meanwhile."""
        self._open.pop(trace.number, None)
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._end, trace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        """Waits until the end of each trace is on record."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, trace: "Trace") -> None:
        self._engine.end_trace(trace.number)
        trace.trail.settle(trace.span, WHAT, Outcome.DONE, f"{trace.lines_told} lines")


class Trace:
    """One trace, and its one reader."""

    def __init__(self, of: Tracing, wanted: Wanted, number: int, trail: Trail, span: Span) -> None:
        self.wanted = wanted
        self.number = number
        self.trail = trail
        self.span = span
        self.lines_told = 0
        self.began_at = datetime.now(UTC)
        self.until = self.began_at + timedelta(seconds=wanted.for_s)
        self._of = of
        self._ends = monotonic() + wanted.for_s
        self._is_over = False

    def as_dict(self) -> dict[str, Any]:
        """For lists."""
        return {
            "trace": self.number,
            "client_id": self.wanted.client_id,
            "tenant": self.wanted.tenant,
            "payloads": self.wanted.payloads,
            "by": self.trail.actor.name,
            "began_at": self.began_at,
            "until": self.until,
        }

    async def lines(self, goes_on: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """JSON lines as packets pass: first what is traced, last why it ended; between them now and then an empty one.

        Every few seconds `goes_on` is asked.
        """
        asked = {"client_id": self.wanted.client_id, "tenant": self.wanted.tenant, "payloads": self.wanted.payloads}
        yield _line({"trace": self.number, **asked, "until": self.until.isoformat(timespec="seconds")})
        check_due = monotonic() + ALIVE_INTERVAL_S
        while True:
            # The clock first: what passed until then is told.
            is_last = monotonic() >= self._ends
            found = await asyncio.to_thread(self._of.take, self)
            if found:
                self.lines_told += found.count(b"\n")
                yield found
            if found is None or (monotonic() >= check_due and not await goes_on()):
                yield _line({"ended": "stopped"})
                return
            if monotonic() >= check_due:
                check_due = monotonic() + ALIVE_INTERVAL_S
                yield b"\n"
            if not found:
                if is_last:
                    yield _line({"ended": "time"})
                    return
                await asyncio.sleep(LOOK_INTERVAL_S)

    def end(self) -> None:
        """Nobody reads it any more, or is to read more of it."""
        if not self._is_over:
            self._is_over = True
            self._of.end(self)


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode("ascii") + b"\n"
