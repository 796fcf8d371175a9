"""One gate for each authenticator that asks somebody outside: a slow provider fills its own gate, and nothing else.

Whoever finds the gate full is told 0x89 Server busy at once; whoever waited too long, inside or before it, 0x88
Server unavailable. The loop, and the clients that others judge, go on meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bartizan.authn.base import Denied, ProviderUnavailable
from bartizan.config.outside import Outside
from bartizan.model.reason import ReasonCode

T = TypeVar("T")

Tell = Callable[[str, str | None], None]
"""Takes an authenticator's name, and what is wrong with whom it asks; None: that is over."""


class Trouble:
    """Tells once that somebody outside is of no use, and once that it is over: not at every client."""

    def __init__(self, name: str, tell: Tell) -> None:
        self._name = name
        self._tell = tell
        self._is_on = False

    def met(self, what: str) -> None:
        """It failed."""
        if not self._is_on:
            self._is_on = True
            self._tell(self._name, what)

    def over(self) -> None:
        """It answered as it should."""
        if self._is_on:
            self._is_on = False
            self._tell(self._name, None)


class Gate:
    """Lets `concurrent_max` calls through at once, has `waiting_max` more wait, and ends each after `deadline_s`."""

    def __init__(self, name: str, *, concurrent_max: int, waiting_max: int, deadline_s: float) -> None:
        self._name = name
        self._room = concurrent_max + waiting_max
        self._turn = asyncio.Semaphore(concurrent_max)
        self._inside = 0
        self._deadline_s = deadline_s

    @classmethod
    def of(cls, name: str, settings: Outside) -> "Gate":
        """The gate that the settings of an authenticator describe."""
        return cls(
            name,
            concurrent_max=settings.concurrent_max,
            waiting_max=settings.waiting_max,
            deadline_s=settings.deadline_s,
        )

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns; the deadline counts from here, so that waiting for a turn is part of it."""
        if self._inside >= self._room:
            raise Denied(ReasonCode.SERVER_BUSY, f"too many clients wait for {self._name}")
        self._inside += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                async with self._turn:
                    return await call()
        except TimeoutError:
            raise ProviderUnavailable(f"{self._name} did not answer within {self._deadline_s:g} s") from None
        finally:
            self._inside -= 1


class Provider:
    """Whoever is asked: behind a gate, with its trouble told, that of being slow included."""

    def __init__(self, name: str, settings: Outside, tell: Tell) -> None:
        self._gate = Gate.of(name, settings)
        self._trouble = Trouble(name, tell)

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns. `Denied` by it is an answer; `ProviderUnavailable` is none."""
        try:
            answer = await self._gate.ask(call)
        except ProviderUnavailable as error:
            self._trouble.met(str(error))
            raise
        except Denied as denied:
            if denied.reason is not ReasonCode.SERVER_BUSY:
                self._trouble.over()
            raise
        self._trouble.over()
        return answer
