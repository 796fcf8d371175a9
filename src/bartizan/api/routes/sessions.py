"""Sessions: one is discarded, whether its client is connected or away."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Path, Query

from bartizan.api import schemas_security as schemas
from bartizan.api.house import Calling, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.errors import NotFound

ROUTES = Routes("sessions")


@ROUTES.on("DELETE", "/sessions/{client_id:path}", Permission.DISCONNECT, response_model=schemas.EndedSession)
async def discard_session(
    house: Housed,
    caller: Calling,
    client_id: Annotated[str, Path(max_length=4_096)],
    tenant: Annotated[str | None, Query(max_length=128, description="The tenant whose client it is.")] = None,
) -> dict[str, Any]:
    """Discard a Session with its Subscriptions and its queue. A client that is connected is told 0x98, and may come again."""
    if not caller.sees(tenant):
        raise NotFound(f"there is no Session of {client_id!r}")
    return asdict(await house.hands.discard(client_id, tenant))
