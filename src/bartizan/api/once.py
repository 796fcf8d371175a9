"""What waits for one answer: for a short while, so many, and each taken once.

Whoever asks for many pushes out its own: an operator at another place is not kept from logging in by a flood.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from bartizan.model.network import network_of

T = TypeVar("T")

PER_PLACE_MAX: Final = 64
WAITING_MAX: Final = 8_192


class Once(Generic[T]):
    """Kept in memory, by an id that nobody guesses. Use it from one thread."""

    def __init__(self, now: Callable[[], datetime], lifetime: timedelta) -> None:
        self._now = now
        self._lifetime = lifetime
        self._places: dict[str, OrderedDict[str, None]] = {}
        self._waiting: OrderedDict[str, tuple[str, datetime, T]] = OrderedDict()
        """By id: the place that asked, the end, and what waits; the oldest first."""

    def put(self, what: T, address: str) -> str:
        """Its id. At one too many, the oldest goes of the place that has the most."""
        self._forget_ended()
        place = network_of(address)
        own = self._places.setdefault(place, OrderedDict())
        if len(own) >= PER_PLACE_MAX:
            self._drop(next(iter(own)))
        elif len(self._waiting) >= WAITING_MAX:
            self._drop(next(iter(max(self._places.values(), key=len))))
        id_ = secrets.token_urlsafe(24)
        self._places.setdefault(place, OrderedDict())[id_] = None
        self._waiting[id_] = place, self._now() + self._lifetime, what
        return id_

    def take(self, id_: str) -> T | None:
        """What waits under this id, which it does no longer; None if nothing does."""
        self._forget_ended()
        found = self._waiting.get(id_)
        if found is None:
            return None
        self._drop(id_)
        return found[2]

    def __len__(self) -> int:
        return len(self._waiting)

    def _drop(self, id_: str) -> None:
        place, _, _ = self._waiting.pop(id_)
        del self._places[place][id_]
        if not self._places[place]:
            del self._places[place]

    def _forget_ended(self) -> None:
        at = self._now()
        while self._waiting:
            id_, (_, ends_at, _) = next(iter(self._waiting.items()))
            if at < ends_at:
                return
            self._drop(id_)
