"""Policy and identities -> the engine: whole or not at all, one at a time, newest last."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

from bartizan.broker.directory import (
    LiveDirectory,
    Snapshot,
    Touched,
    bans_json,
    changed_json,
    enabled_json,
    throttles_json,
)
from bartizan.broker.ports import EnginePort
from bartizan.model.ending import CutConnection, Ended
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
        self._told_revoked = frozenset[str]()
        self.policy = policy
        self.epoch = 0

    @property
    def role_names(self) -> frozenset[str]:
        """The roles of the policy in force."""
        return self.policy.role_names

    async def begin(self) -> None:
        """Starts the engine with both. Raises what `EnginePort.start` raises."""
        async with self._turn:
            identities = self._directory.snapshot()
            await asyncio.to_thread(self._start, identities)
            self.epoch = self._engine.metrics().get("epoch", 0)
            self._reached(identities.revision)

    async def put(self, policy: CompiledPolicy | None = None) -> int:
        """Puts a new policy (or the one there is) and all identities as they are in force; the epoch."""
        async with self._turn:
            await self._tell(policy or self.policy, tells_all=True)
            return self.epoch

    async def follow(self) -> Ended:
        """Tells the engine of identities that changed; what ended with that."""
        async with self._turn:
            return await self._tell(self.policy)

    async def change(self, write: Callable[[], Awaitable[object]], *, clears_retained: Collection[str] = ()) -> Ended:
        """Has the identity store written, and tells the engine before anybody else does; what ended with that.

        Of those in `clears_retained` whose Sessions end, Retained Messages are removed too.
        """
        async with self._turn:
            await write()
            await self._directory.refresh()
            return await self._tell(self.policy, clears_retained=clears_retained)

    async def settled(self) -> None:
        """Returns once the engine knows of every identity what the directory knows now."""
        wanted = self._directory.engine_revision
        while self._revision < wanted:
            self._level.clear()
            await self._level.wait()

    def _start(self, identities: Snapshot) -> None:
        self._engine.ban(bans_json(identities.bans))
        self._engine.start(self.policy, enabled_json(identities, datetime.now(UTC)))
        if identities.throttles:
            self._engine.throttle(throttles_json(identities.throttles))

    async def _tell(
        self, policy: CompiledPolicy, *, tells_all: bool = False, clears_retained: Collection[str] = ()
    ) -> Ended:
        revoked = frozenset(self._revoked())
        touched = self._directory.take_touched().clearing(clears_retained)
        # A certificate that a responder revokes may be anybody's.
        tells_all |= touched.is_everything or revoked != self._told_revoked
        everyone = self._directory.snapshot() if tells_all else None
        try:
            self.epoch, ended = await asyncio.to_thread(self._tell_engine, policy, everyone, revoked, touched)
        except BaseException:
            self._directory.give_back(touched)
            raise
        self.policy, self._told_revoked = policy, revoked
        self._reached(touched.revision)
        return ended

    def _tell_engine(
        self, policy: CompiledPolicy, everyone: Snapshot | None, revoked: Collection[str], touched: Touched
    ) -> tuple[int, Ended]:
        now, epoch, ended = datetime.now(UTC), self.epoch, Ended()
        if everyone is not None:
            epoch = self._engine.apply(policy, enabled_json(everyone, now, revoked))
        if touched.endings or (everyone is None and touched.records):
            told = self._engine.update(changed_json(touched, now))
            epoch, ended = told["epoch"], Ended.of(told)
        if touched.bans is not None:
            cut = self._engine.ban(bans_json(touched.bans))
            ended = replace(ended, cut=tuple(CutConnection(**one) for one in cut))
        if touched.throttles is not None:
            self._engine.throttle(throttles_json(touched.throttles))
        return epoch, ended

    def _reached(self, revision: int) -> None:
        self._revision = revision
        self._level.set()
