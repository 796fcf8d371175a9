"""Passwords against stored hashes, in threads; a refusal costs the same whoever was named.

The hashes of a refusal are the dearest of each kind that any name has had so far in this process: who has two
passwords, or one from another broker, is not told apart by time from who does not exist.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
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
    """Finds which of several hashes a password has. Threads are those of `executor` (None: its own)."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor or ThreadPoolExecutor(VERIFICATIONS_MAX, thread_name_prefix="bartizan-hash")
        self._turn = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._waiting = 0
        # Without any name a refusal costs one of our own.
        self._dearest: Counter[str] = Counter({hashes.our_shape(): 1})

    async def matching(self, stored: Sequence[str], password: bytes) -> int | None:
        """The place of the first hash that the password has; None after as much work as any other refusal."""
        spent: Counter[str] = Counter()
        for at, hash_ in enumerate(stored):
            spent[hashes.shape(hash_) or ""] += 1
            if await self._verify(partial(hashes.verify, hash_, password), password):
                return at
        for shape in self._owed(spent):
            await self._verify(partial(_verify_decoy, shape, password), password)
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

    def _owed(self, spent: Counter[str]) -> Iterable[str]:
        """The shapes of what a refusal has to cost beside what was spent already."""
        for shape, count in spent.items():
            if shape and (shape in self._dearest or len(self._dearest) < SHAPES_MAX):
                self._dearest[shape] = max(self._dearest[shape], min(count, PASSWORDS_MAX))
        return (self._dearest - spent).elements()

    async def _verify(self, verify: Callable[[], bool], password: bytes) -> bool:
        return len(password) <= PASSWORD_BYTES_MAX and await self.work(verify)


def _verify_decoy(shape: str, password: bytes) -> bool:
    """Makes its hash in the thread that checks it: of a flood, what finds no room there costs no random octets."""
    return hashes.verify(hashes.decoy(shape), password)
