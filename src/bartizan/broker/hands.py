"""What is done to clients and identities at once, in somebody's name: on record first, whoever asks for it.

One piece for operators at both doors and for playbooks: an act that is on record for one is so for the others.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.broker.apply import InForce
from bartizan.broker.ended import every_client
from bartizan.broker.ports import EnginePort
from bartizan.identity.register import Register
from bartizan.model.actor import Actor
from bartizan.respond.actions import Actions

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

DISCONNECT = "client.disconnect"

Client = tuple[str, str | None]
"""Its Client Identifier, and the tenant whose it is."""


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

    async def disconnect(self, client_id: str, reason: int, tenant: str | None) -> bool:
        """Whether such a client was connected, and is no more."""
        return await self._disconnected([(client_id, tenant)], reason) == 1

    async def disconnect_identity(self, identity: str, reason: int) -> int:
        """Disconnects whoever is connected as this identity; how many."""
        met = await asyncio.to_thread(self._clients_of, identity)
        return await self._disconnected(met, reason) if met else 0

    def _clients_of(self, identity: str) -> list[Client]:
        return [
            (client["client_id"], client.get("tenant"))
            for client in every_client(self.engine)
            if client["identity"] == identity
        ]

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
