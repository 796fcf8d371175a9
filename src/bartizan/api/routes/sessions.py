"""Sessions: one is shown, or discarded, whether its client is connected or away."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query

from bartizan.api import schemas_live as schemas
from bartizan.api import schemas_security
from bartizan.api.caller import Caller
from bartizan.api.house import Calling, House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.errors import NotFound
from bartizan.model.version import version_text

ROUTES = Routes("sessions")

NEVER: Final = 0xFFFFFFFF
"""A Session Expiry Interval that is no time (3.1.2.11.2)."""

ClientId = Annotated[str, Path(max_length=4_096)]
Tenant = Annotated[str | None, Query(max_length=128, description="The tenant whose client it is.")]


@ROUTES.on("GET", "/sessions/{client_id:path}", Permission.LOOK, response_model=schemas.Session)
async def read_session(house: Housed, caller: Calling, client_id: ClientId, tenant: Tenant = None) -> Mapping[str, Any]:
    """Read what is kept for a client: its Subscriptions, its queue, its Will, and what its client was denied lately."""
    return await session_of(house, client_id, _whose(caller, client_id, tenant))


@ROUTES.on("DELETE", "/sessions/{client_id:path}", Permission.DISCONNECT, response_model=schemas_security.EndedSession)
async def discard_session(house: Housed, caller: Calling, client_id: ClientId, tenant: Tenant = None) -> dict[str, Any]:
    """Discard a Session with its Subscriptions and its queue. A client that is connected is told 0x98, and may come again."""
    return asdict(await house.hands.discard(client_id, _whose(caller, client_id, tenant)))


async def session_of(house: House, client_id: str, tenant: str | None) -> Mapping[str, Any]:
    """What the broker keeps for a client; `NotFound` where that is nothing."""
    # What it was denied a moment ago is what is looked for.
    await house.broker.watching.write_some()
    found = dict(await house.broker.inspecting.session(client_id, tenant))
    expiry_s, will = found["session_expiry_s"], found["will"]
    if will is not None:
        will["due_at"] = time_of(will.pop("due_ms"))
    return found | {
        "version": version_text(found["version"]),
        "session_expiry_s": None if expiry_s == NEVER else expiry_s,
        "ends_at": time_of(found.pop("ends_at_ms")),
    }


def time_of(at_ms: int | None) -> datetime | None:
    """A time of the engine's."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1_000, UTC)


def _whose(caller: Caller, client_id: str, tenant: str | None) -> str | None:
    """The tenant whose client is meant: an operator of one means that one's."""
    whose = tenant or caller.tenant or None
    if not caller.sees(whose):
        raise NotFound(f"no client {client_id!r} is connected, or has a Session")
    return whose
