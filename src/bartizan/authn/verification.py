"""Passwords against stored hashes, in threads; a refusal costs the same whoever was named.

The hashes of a refusal are the dearest of each kind that any name has had so far in this process: who has two
passwords, or one from another broker, is not told apart by time from who does not exist.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from bartizan.authn.base import Denied
from bartizan.identity import hashes
from bartizan.identity.passwords import PASSWORD_BYTES_MAX
from bartizan.model.reason import ReasonCode

T = TypeVar("T")

VERIFICATIONS_MAX = 2
"""Hashes computed at once: each takes 19 MiB and one processor for tens of milliseconds."""

WAITING_MAX = 256
"""CONNECTs waiting for their turn; further ones get 0x89 Server busy and may come again."""

SHAPES_MAX = 16
"""Kinds of hashes that a refusal is made to look like; more than these no sane store holds."""

PASSWORDS_MAX = 4
"""Live passwords of one name that a refusal is made to look like."""


class Verification:
    """Finds which of several hashes a password has. Threads are those of `executor` (None: the loop's)."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._turn = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._waiting = 0
        # Without any name a refusal costs one of our own.
        self._dearest: Counter[str] = Counter({hashes.our_shape(): 1})

    async def matching(self, stored: Sequence[str], password: bytes) -> int | None:
        """The place of the first hash that the password has; None after as much work as any other refusal."""
        spent: Counter[str] = Counter()
        for at, hash_ in enumerate(stored):
            spent[hashes.shape(hash_) or ""] += 1
            if await self._verify(hash_, password):
                return at
        for decoy in self._decoys(spent):
            await self._verify(decoy, password)
        return None

    async def work(self, work: Callable[[], T]) -> T:
        """What `work` returns, once it had its turn in a thread."""
        if self._waiting >= WAITING_MAX:
            raise Denied(ReasonCode.SERVER_BUSY, "too many passwords wait to be checked")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def _decoys(self, spent: Counter[str]) -> list[str]:
        """What a refusal has to cost beside what was spent already."""
        for shape, count in spent.items():
            if shape and (shape in self._dearest or len(self._dearest) < SHAPES_MAX):
                self._dearest[shape] = max(self._dearest[shape], min(count, PASSWORDS_MAX))
        owed = self._dearest - spent
        return [hashes.decoy(shape) for shape in owed.elements()]

    async def _verify(self, stored: str, password: bytes) -> bool:
        if len(password) > PASSWORD_BYTES_MAX:
            return False
        return await self.work(lambda: hashes.verify(stored, password))
