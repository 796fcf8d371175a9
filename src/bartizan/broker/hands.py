"""What is done to clients and identities at once, in somebody's name: on record first, whoever asks for it.

One piece for operators at both doors and for playbooks: an act that is on record for one is so for the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.broker.apply import InForce
from bartizan.broker.ended import every_client
from bartizan.broker.ports import EnginePort
from bartizan.errors import NotFound
from bartizan.identity.register import Register
from bartizan.model.actor import Actor
from bartizan.model.ban import Ban, BanOf, meets, new_ban
from bartizan.model.ending import EndedSession
from bartizan.model.throttle import Throttle
from bartizan.respond.actions import Actions
from bartizan.respond.bans import Bans
from bartizan.store.ports import PutThrottle, RemoveThrottle

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

DISCONNECT = "client.disconnect"
DISCARD = "session.discard"

Client = tuple[str, str | None]
"""Its Client Identifier, and the tenant whose it is."""

Before = Callable[[Throttle | None], None]
"""Looks at the throttle that holds, in the turn in which another one takes its place."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Acts in the name of one actor, and for one reason."""

    engine: EnginePort
    in_force: InForce
    store: RecordedStore
    trail: Trail

    def acting_as(self, actor: Actor) -> "Hands":
        """The same, in somebody else's name."""
        return replace(self, store=self.store.acting_as(actor), trail=self.trail.acting_as(actor))

    def because(self, why: str) -> "Hands":
        """The same, for this reason; an empty one leaves the one that there was."""
        return self.acting_as(self.trail.actor.because(why))

    @property
    def actions(self) -> Actions:
        """What is done to identities."""
        return Actions(Register(self.store), self.in_force)

    @property
    def bans(self) -> Bans:
        """What is done to who may not connect."""
        return Bans(self.store, self.in_force)

    async def throttle_of(self, identity: str) -> Throttle | None:
        """The throttle that holds for an identity."""
        at = datetime.now(UTC)
        every = await self.store.throttles()
        return next((each for each in every if each.identity == identity and each.holds(at)), None)

    async def throttle(self, throttle: Throttle, *, before: Before | None = None) -> None:
        """Has an identity publish more slowly, until the throttle ends. `before` raises if what held may not give way."""

        async def write() -> None:
            if before is not None:
                before(await self.throttle_of(throttle.identity))
            await self.store.commit([PutThrottle(throttle)])

        await self.in_force.change(write)

    async def unthrottle(self, identity: str, *, before: Before | None = None) -> Throttle:
        """Ends that; `NotFound` where it is not throttled."""
        ended = list[Throttle]()

        async def write() -> None:
            held = await self.throttle_of(identity)
            if before is not None:
                before(held)
            if held is None:
                raise NotFound(f"{identity!r} is not throttled")
            await self.store.commit([RemoveThrottle(identity)])
            ended.append(held)

        await self.in_force.change(write)
        return ended[0]

    async def discard(self, client_id: str, tenant: str | None) -> EndedSession:
        """Ends a Session with all that is in it; `NotFound` where there is none. Its client may come again."""
        span = await self.trail.begin(DISCARD, f"session/{client_id}", after={"tenant": tenant or ""})
        async with self.trail.settling(span, DISCARD):
            ended = await asyncio.to_thread(self.engine.discard, client_id, tenant)
            if ended is None:
                whose = "" if tenant is None else f" of tenant {tenant!r}"
                raise NotFound(f"there is no Session of {client_id!r}{whose}")
        return EndedSession(**ended)

    async def disconnect(self, client_id: str, reason: int, tenant: str | None) -> bool:
        """Whether such a client was connected, and is no more."""
        return await self._disconnected([(client_id, tenant)], reason) == 1

    async def disconnect_identity(self, identity: str, reason: int) -> int:
        """Disconnects whoever is connected as this identity; how many."""
        met = await asyncio.to_thread(self._clients_of, identity)
        return await self._disconnected(met, reason) if met else 0

    async def disconnect_address(self, prefix: str, reason: int) -> int:
        """Disconnects whoever comes from this address, or prefix; how many."""
        met = await asyncio.to_thread(self._clients_from, new_ban(BanOf.ADDRESS, prefix, at=datetime.now(UTC)))
        return await self._disconnected(met, reason) if met else 0

    def _clients_from(self, named: Ban) -> list[Client]:
        return [
            (client["client_id"], client.get("tenant"))
            for client in every_client(self.engine)
            if meets(named, client, {})
        ]

    def _clients_of(self, identity: str) -> list[Client]:
        return [(client["client_id"], client.get("tenant")) for client in every_client(self.engine, identity=identity)]

    async def _disconnected(self, clients: Sequence[Client], reason: int) -> int:
        entries = [
            self.trail.entry(DISCONNECT, f"client/{client_id}", after={"reason": reason, "tenant": tenant or ""})
            for client_id, tenant in clients
        ]
        span = await asyncio.to_thread(self.trail.record, entries)
        async with self.trail.settling(span, DISCONNECT):
            return sum(self.engine.disconnect(client_id, reason, tenant) for client_id, tenant in clients)


def hands_of(broker: "Broker", actor: Actor) -> Hands:
    """Those of a broker that runs, in the name of this actor."""
    return Hands(broker.engine, broker.in_force, broker.store, broker.trail).acting_as(actor)
