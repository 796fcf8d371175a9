"""A broker that runs, as those see it who act."""

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from bartizan.model.ending import Ended


class Live(Protocol):
    """A broker that runs: what an action needs of it."""

    @property
    def role_names(self) -> Collection[str]:
        """The roles of the policy in force."""
        ...

    async def change(self, write: Callable[[], Awaitable[object]], *, clears_retained: Collection[str] = ()) -> Ended:
        """Has `write` done, and holds to what the identity store says then; returns when it does, with what ended."""
        ...
