"""A client is disconnected by order: on record first."""

from bartizan.broker.app import Broker
from bartizan.model.actor import Actor

WHAT = "client.disconnect"


async def disconnected(broker: Broker, actor: Actor, client_id: str, reason: int, tenant: str | None) -> bool:
    """Whether such a client was connected, and is no more."""
    trail = broker.trail.acting_as(actor)
    span = await trail.begin(WHAT, f"client/{client_id}", after={"reason": reason, "tenant": tenant or ""})
    async with trail.settling(span, WHAT):
        return broker.engine.disconnect(client_id, reason, tenant)
