"""Requests that were refused are events: of each second some one by one, the rest by their number.

Whoever has proved nothing shares one number: no flood of strangers hides what an operator was refused.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from bartizan.broker.log import Journal
from bartizan.model.actor import Actor

WINDOW_S: Final = 1.0
TOLD_MAX: Final = 8
"""So many of one operator, or of all strangers, are told one by one in a second."""

REQUEST_CHARS_MAX: Final = 256
"""A path is of whoever asks."""


class Refusals:
    """Tells what was refused. Use it from one event loop."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._since = float("-inf")
        self._told = Counter[str]()
        self._rest = 0

    def tell(self, actor: Actor, request: str, status: int, reason: str) -> None:
        """A request that was refused. Of who is not known the name is empty."""
        now = self._clock()
        if now - self._since >= WINDOW_S:
            self._since, self._told = now, Counter()
        self._told[actor.name] += 1
        if self._told[actor.name] > TOLD_MAX:
            if not self._rest:
                asyncio.get_running_loop().call_later(WINDOW_S, self.tell_rest)
            self._rest += 1
            return
        self._journal.note(
            "operator_denied",
            operator=actor.name,
            address=actor.address,
            way=actor.way.value,
            request=request[:REQUEST_CHARS_MAX],
            outcome=str(status),
            reason=reason,
        )

    def tell_rest(self) -> None:
        """How many there were beyond those that were told."""
        rest, self._rest = self._rest, 0
        if rest:
            within_ms = int(WINDOW_S * 1000)
            self._journal.note("repeated", kind="operator_denied", about="", count=rest, within_ms=within_ms)
