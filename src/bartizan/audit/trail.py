"""A change is on record before it takes effect, and its outcome behind it: what every writer goes through."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from bartizan.audit.keys import SigningKey
from bartizan.audit.log import Log, Synced, untold
from bartizan.audit.record import Entry, Kind, Outcome
from bartizan.audit.segments import CHANGES
from bartizan.config.audit import AuditSettings
from bartizan.errors import StoreUnavailable
from bartizan.model.actor import Actor

Span = tuple[int, int]
"""The first and the last record of the changes that belong together."""


class Trail:
    """The log of changes, as one actor writes it."""

    def __init__(self, log: Log, actor: Actor) -> None:
        self.log = log
        self.actor = actor

    @classmethod
    def of(cls, directory: Path, settings: AuditSettings, actor: Actor, synced: Synced = untold) -> Self:
        """The trail of this directory. Nothing is made there before something is recorded."""
        return cls(Log(directory / CHANGES, SigningKey(directory), settings, synced=synced), actor)

    def acting_as(self, actor: Actor) -> "Trail":
        """The same log, for somebody else."""
        return Trail(self.log, actor)

    def entry(
        self,
        what: str,
        target: str = "",
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        why: str = "",
    ) -> Entry:
        """A change that this actor is about to make."""
        return Entry(Kind.CHANGE, what, self.actor, target, before, after, why)

    def record(self, entries: Sequence[Entry]) -> Span:
        """Changes that are made together, on disk when this returns; `StoreUnavailable`: they must not be made."""
        return self.log.append(entries)

    def settle(self, span: Span, what: str, outcome: Outcome, why: str = "") -> None:
        """What became of them. That it cannot be recorded changes nothing of it: they stay without an outcome."""
        with suppress(StoreUnavailable):
            self.log.append([Entry(Kind.OUTCOME, what, self.actor, outcome=outcome.value, of=span, why=why)])

    @contextmanager
    def changing(
        self,
        what: str,
        target: str = "",
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        why: str = "",
    ) -> Iterator[None]:
        """Records a change, has it made inside of the block, and records what became of it."""
        span = self.record([self.entry(what, target, before=before, after=after, why=why)])
        try:
            yield
        except Exception as error:
            self.settle(span, what, Outcome.FAILED, words_of(error))
            raise
        self.settle(span, what, Outcome.DONE)

    @asynccontextmanager
    async def settling(self, span: Span | None, what: str) -> AsyncIterator[None]:
        """Records what became of what is done inside, for callers in an event loop; nothing where there is no span."""
        try:
            yield
        except Exception as error:
            if span is not None:
                await asyncio.to_thread(self.settle, span, what, Outcome.FAILED, words_of(error))
            raise
        # Of what was broken off nobody knows whether it was done: it stays without an outcome.
        if span is not None:
            await asyncio.to_thread(self.settle, span, what, Outcome.DONE)

    async def begin(
        self,
        what: str,
        target: str = "",
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> Span:
        """Records a change, for callers in an event loop; `settling` follows."""
        return await asyncio.to_thread(self.record, [self.entry(what, target, before=before, after=after)])


def words_of(error: BaseException) -> str:
    """An error as a record has it."""
    return " ".join(str(error).split())[:1_024] or type(error).__name__
