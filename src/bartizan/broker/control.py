"""Commands that clients publish to `$CONTROL/dynamic-security/v1`: taken from the engine, carried out, answered.

One at a time, in their order: each is answered of the state that the one before left. What waits is bounded; behind
that the engine keeps its own bounded queue, and refuses what finds no room there.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bartizan.broker.change import Running
from bartizan.broker.dynsec import Asking, Connections, DynamicSecurity
from bartizan.broker.ended import every_client
from bartizan.broker.log import Journal
from bartizan.broker.ports import EnginePort
from bartizan.model.reason import ReasonCode
from bartizan.policy.dynsec.commands import RESPONSE_TOPIC, Wanted

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

REQUESTS_MAX = 64
"""Requests that wait here."""

REQUEST_BYTES_MAX = 1024 * 1024
"""A longer request is not read."""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A message to the broker, from a client that the policy lets publish it."""

    topic: str
    payload: bytes = field(repr=False)
    """There may be passwords in it."""

    identity: str
    client_id: str
    user_name: str | None = None
    tenant: str | None = None
    correlation: bytes | None = None


class ControlPort(Protocol):
    """The engine's lane of commands. `wake_fd` tells of it as of questions."""

    def take_control(self, limit: int) -> Sequence[ControlRequest]:
        """Requests that wait, oldest first."""
        ...

    def reply(self, client: str | None, topic: str, payload: bytes) -> None:
        """Sends this to one client, or to all that are subscribed to the topic; nothing if it is gone."""
        ...


class ControlDesk:
    """Carries requests out, one after the other, between `start` and `stop`."""

    def __init__(
        self, engine: ControlPort, service: DynamicSecurity, journal: Journal, *, strict: bool, anonymous: bool
    ) -> None:
        self._engine = engine
        self._service = service
        self._journal = journal
        self._strict = strict
        self._anonymous = anonymous
        self._waiting: deque[ControlRequest] = deque()
        self._there = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer."""
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Ends; what waits is not answered."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def take(self) -> None:
        """Takes what waits in the engine, as far as there is room."""
        room = REQUESTS_MAX - len(self._waiting)
        if room:
            self._waiting.extend(self._engine.take_control(room))
        if self._waiting:
            self._there.set()

    async def _work(self) -> None:
        while True:
            await self._there.wait()
            while self._waiting:
                await self._answer(self._waiting.popleft())
                self.take()
            self._there.clear()

    async def _answer(self, request: ControlRequest) -> None:
        asking = Asking(f"{request.identity} ({request.client_id})", strict=self._strict, anonymous=self._anonymous)
        if request.tenant is not None or len(request.payload) > REQUEST_BYTES_MAX:
            # Commands are about all identities; whoever sees one tenant sees no others.
            self._journal.note("dynsec", identity=request.identity, client_id=request.client_id, refused=["request"])
            return
        wanted = await self._service.answer(request.payload, asking)
        self._tell(request, wanted)
        # Others that are subscribed learn what was asked, so nobody but the asker is told unless it is so configured.
        self._engine.reply(request.client_id if self._strict else None, RESPONSE_TOPIC, wanted.payload())

    def _tell(self, request: ControlRequest, wanted: Wanted) -> None:
        changed = [each.command for each in wanted.responses if each.is_change and each.error is None]
        refused = [each.command for each in wanted.responses if each.error is not None]
        if changed or refused:
            self._journal.note(
                "dynsec", identity=request.identity, client_id=request.client_id, changed=changed, refused=refused
            )


class OwnBroker(Running):
    """The broker that this is, as a change of the policy needs it: from a thread beside the event loop."""

    def __init__(self, broker: "Broker", loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop

    def digest(self) -> str:
        """See `Running`."""
        return self._broker.in_force.policy.digest

    def reload(self) -> Mapping[str, Any]:
        """See `Running`."""
        return asyncio.run_coroutine_threadsafe(self._broker.reload(), self._loop).result().as_dict()


class EngineConnections(Connections):
    """Who is connected, as the engine tells it."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine

    def clients(self) -> Iterable[Mapping[str, Any]]:
        """See `Connections`."""
        return every_client(self._engine)

    def disconnect(self, client_id: str, tenant: str | None) -> None:
        """See `Connections`."""
        self._engine.disconnect(client_id, int(ReasonCode.NOT_AUTHORIZED), tenant)
