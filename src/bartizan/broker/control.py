"""Commands that clients publish to `$CONTROL/dynamic-security/v1`: taken from the engine, carried out, answered.

One at a time, in their order: each is answered of the state that the one before left. The next one waits in the
engine's own bounded queue until then, for it is there that what a change takes away from its sender is noticed.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bartizan.broker.dynsec import Asking, Connections, DynamicSecurity
from bartizan.broker.ended import every_client
from bartizan.broker.history import History
from bartizan.broker.itself import Itself
from bartizan.broker.log import Journal
from bartizan.broker.place import Place
from bartizan.broker.ports import ControlPort, ControlRequest, EnginePort
from bartizan.config.schema import Settings
from bartizan.errors import Conflict
from bartizan.identity.register import Register
from bartizan.model.actor import BROKER, Actor, Way
from bartizan.model.reason import ReasonCode
from bartizan.policy.dynsec.commands import RESPONSE_TOPIC, Wanted

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

REQUEST_BYTES_MAX = 1024 * 1024
"""A longer request is not read."""

SETTLE_MAX_S = 30.0
SETTLE_PAUSE_S = 0.2
"""Whoever changes the policy has it for himself until he is done: it is asked for so long, and so often."""

ServiceOf = Callable[[Actor], DynamicSecurity]
"""The commands of this broker, on record as somebody's."""


class ControlDesk:
    """Carries requests out, one after the other, between `start` and `stop`."""

    def __init__(
        self, engine: ControlPort, service_of: ServiceOf, journal: Journal, *, strict: bool, anonymous: bool
    ) -> None:
        self._engine = engine
        self._service_of = service_of
        self._journal = journal
        self._strict = strict
        self._anonymous = anonymous
        self._there = asyncio.Event()
        self._is_running = False
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer."""
        self._is_running = True
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Ends, once what is in work is answered; what waits is not."""
        self._is_running = False
        self._there.set()
        if self._worker is not None:
            await self._worker

    def take(self) -> None:
        """There may be requests."""
        self._there.set()

    async def _work(self) -> None:
        while self._is_running:
            await self._there.wait()
            self._there.clear()
            while self._is_running and (taken := self._engine.take_control(1)):
                for request in taken:
                    await self._answer(request)

    async def _answer(self, request: ControlRequest) -> None:
        who = f"{request.identity} ({request.client_id})"
        if request.tenant is not None or len(request.payload) > REQUEST_BYTES_MAX:
            # Commands are about all identities; whoever sees one tenant sees no others.
            self._journal.note("dynsec", identity=request.identity, client_id=request.client_id, refused=["request"])
            return
        asking = Asking(who, strict=self._strict, anonymous=self._anonymous)
        try:
            service = await asyncio.to_thread(self._service_of, Actor(who, way=Way.CLIENT))
            wanted = await service.answer(request.payload, asking)
        except Exception as error:  # noqa: BLE001  one request that fails must not leave all others unanswered
            self._journal.note("chore_failed", reason=f"a command of dynamic security: {type(error).__name__}")
            return
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


def control_desk(broker: "Broker") -> ControlDesk | None:
    """The desk of this broker; None where `[dynsec]` takes no commands by MQTT."""
    settings = broker.settings
    mode = settings.dynsec.mode
    if mode == "off":
        return None
    loop = asyncio.get_running_loop()
    return ControlDesk(
        broker.engine,
        lambda actor: _service(broker, loop, actor),
        broker.journal,
        strict=mode == "strict",
        anonymous=_is_anonymous(settings),
    )


async def settle_roles(broker: "Broker") -> None:
    """Gives clients the roles that `dynsec.toml` says, after the policy came by another way than a command."""
    service = await asyncio.to_thread(_service, broker, asyncio.get_running_loop(), BROKER)
    asking = Asking(BROKER.name, anonymous=_is_anonymous(broker.settings))
    until = asyncio.get_running_loop().time() + SETTLE_MAX_S
    while True:
        try:
            others = await service.settle(asking)
        except Conflict:
            if asyncio.get_running_loop().time() >= until:
                raise
            await asyncio.sleep(SETTLE_PAUSE_S)
        else:
            break
    if others:
        broker.journal.note("dynsec_settled", identities=len(others))


def _service(broker: "Broker", loop: asyncio.AbstractEventLoop, actor: Actor) -> DynamicSecurity:
    history = History(broker.data.policy_history, versions_max=broker.settings.policy.history_max)
    register, running = Register(broker.store.acting_as(actor)), Itself(broker, loop, actor)
    place, trail = Place.of(broker.policy_to_read()), broker.trail.acting_as(actor)
    return DynamicSecurity(place, history, register, trail, running, EngineConnections(broker.engine))


def _is_anonymous(settings: Settings) -> bool:
    return any(listener.danger_anonymous is not None for listener in settings.listeners.values())
