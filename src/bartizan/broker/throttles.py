"""Who is throttled, until when: told to the engine, and taken back by itself. Of this broker, until it stops."""

import asyncio
import json
from datetime import datetime

from bartizan.broker.ports import EnginePort
from bartizan.errors import Conflict, NotFound
from bartizan.model.throttle import THROTTLES_MAX, Throttle


class Throttles:
    """The throttles of one broker."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._held: dict[str, Throttle] = {}
        self._turn = asyncio.Lock()

    def every(self, at: datetime) -> list[Throttle]:
        """Those that hold, in order of identity."""
        return [each for _, each in sorted(self._held.items()) if at < each.until]

    async def put(self, throttle: Throttle) -> None:
        """In place of the one that the identity has. In force when this returns."""
        async with self._turn:
            if throttle.identity not in self._held and len(self._held) >= THROTTLES_MAX:
                raise Conflict(f"{THROTTLES_MAX} identities are throttled already")
            await self._tell({**self._held, throttle.identity: throttle})

    async def remove(self, identity: str) -> Throttle:
        """The identity is as fast as its roles let it; `NotFound` where it is not throttled."""
        async with self._turn:
            held = self._held.get(identity)
            if held is None:
                raise NotFound(f"{identity!r} is not throttled")
            await self._tell({name: each for name, each in self._held.items() if name != identity})
            return held

    async def end(self, at: datetime) -> None:
        """Takes back what is over."""
        async with self._turn:
            left = {name: each for name, each in self._held.items() if at < each.until}
            if len(left) < len(self._held):
                await self._tell(left)

    async def _tell(self, held: dict[str, Throttle]) -> None:
        told = {name: [each.messages_per_s, each.bytes_per_s] for name, each in held.items()}
        await asyncio.to_thread(self._engine.throttle, json.dumps(told).encode())
        self._held = held
