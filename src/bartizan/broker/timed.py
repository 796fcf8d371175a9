"""What holds for a time, bans and throttles: which of them do now, and what the engine does not know yet."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from bartizan.model.ban import Ban
from bartizan.model.throttle import Throttle

T = TypeVar("T", Ban, Throttle)


class Timed(Generic[T]):
    """All of one kind, as they were stored when that was last looked at."""

    def __init__(self) -> None:
        self.held: tuple[T, ...] = ()
        """Those that hold."""
        self.over: tuple[T, ...] = ()
        """Those that have ended by themselves, and are stored yet."""
        self._is_untold = False

    def read(self, stored: Iterable[T], at: datetime) -> bool:
        """Takes over what is stored; whether the engine has to know."""
        every = tuple(stored)
        held = tuple(each for each in every if each.holds(at))
        self.over = tuple(each for each in every if not each.holds(at))
        if held == self.held:
            return False
        self.held, self._is_untold = held, True
        return True

    def end(self, at: datetime) -> bool:
        """Ends what is over now; whether the engine has to know."""
        return any(not each.holds(at) for each in self.held) and self.read((*self.over, *self.held), at)

    def take(self) -> tuple[T, ...] | None:
        """All that hold, for the engine; None where it knows them already."""
        untold, self._is_untold = self._is_untold, False
        return self.held if untold else None

    def give_back(self, taken: Sequence[T] | None) -> None:
        """It did not reach the engine."""
        self._is_untold |= taken is not None
