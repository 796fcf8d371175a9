"""Policy and identities -> the engine: whole or not at all, one at a time, newest last."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from bartizan.broker.directory import LiveDirectory, Snapshot, enabled_json
from bartizan.broker.ports import EnginePort
from bartizan.policy import CompiledPolicy


class InForce:
    """What the engine decides by: one policy, one state of the identities."""

    def __init__(
        self,
        engine: EnginePort,
        directory: LiveDirectory,
        policy: CompiledPolicy,
        revoked: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._revoked = revoked
        """Fingerprints of certificates that a responder says to be revoked."""
        self._engine = engine
        self._directory = directory
        self._turn = asyncio.Lock()
        self._level = asyncio.Event()
        self._revision = -1
        self.policy = policy
        self.epoch = 0

    async def begin(self) -> None:
        """Starts the engine with both. Raises what `EnginePort.start` raises."""
        async with self._turn:
            identities = self._directory.snapshot()
            await asyncio.to_thread(self._start, identities)
            self.epoch = self._engine.metrics().get("epoch", 0)
            self._reached(identities.revision)

    async def put(self, policy: CompiledPolicy | None = None) -> int:
        """Puts a new policy (or the one there is) and the identities as they are in force; the epoch."""
        async with self._turn:
            chosen = policy or self.policy
            identities = self._directory.snapshot()
            self.epoch = await asyncio.to_thread(self._apply, chosen, identities, self._revoked())
            self.policy = chosen
            self._reached(identities.revision)
            return self.epoch

    async def settled(self) -> None:
        """Returns once the engine knows of every identity what the directory knows now."""
        wanted = self._directory.engine_revision
        while self._revision < wanted:
            self._level.clear()
            await self._level.wait()

    def _start(self, identities: Snapshot) -> None:
        self._engine.start(self.policy, enabled_json(identities, datetime.now(UTC)))

    def _apply(self, policy: CompiledPolicy, identities: Snapshot, revoked: Collection[str]) -> int:
        return self._engine.apply(policy, enabled_json(identities, datetime.now(UTC), revoked))

    def _reached(self, revision: int) -> None:
        self._revision = revision
        self._level.set()
