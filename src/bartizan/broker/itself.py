"""The broker as a change of its policy sees it from a thread inside of it: what the command line asks the control socket."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TYPE_CHECKING, Any

from bartizan.broker.change import Running
from bartizan.errors import ChangeRefused
from bartizan.model.actor import Actor

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

RELOAD_TIMEOUT_S = 120.0
"""A policy of ten thousand roles, and a hundred thousand Sessions to decide anew, take their time."""


class Itself(Running):
    """A broker whose event loop is `loop`. Call it from another thread."""

    def __init__(self, broker: "Broker", loop: asyncio.AbstractEventLoop, actor: Actor) -> None:
        self._broker = broker
        self._loop = loop
        self._actor = actor

    def digest(self) -> str:
        """See `Running`."""
        return self._broker.in_force.policy.digest

    def reload(self) -> Mapping[str, Any]:
        """See `Running`."""
        reloading = asyncio.run_coroutine_threadsafe(self._broker.reload(self._actor), self._loop)
        try:
            return reloading.result(RELOAD_TIMEOUT_S).as_dict()
        except WaitedTooLong:
            raise ChangeRefused(f"the broker has not reloaded within {RELOAD_TIMEOUT_S:.0f} s") from None
