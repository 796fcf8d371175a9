"""Subscriptions, of all Sessions: who gets what."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query

from bartizan.api import schemas_live as schemas
from bartizan.api.house import Calling, Housed
from bartizan.api.paging import Page, Parted, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.retained import TOPIC_CHARS_MAX
from bartizan.api.routing import Routes

ROUTES = Routes("subscriptions")

Order = Literal["client_id", "-client_id", "identity", "-identity", "filter", "-filter"]


@ROUTES.on("GET", "/subscriptions", Permission.LOOK, response_model=Page[schemas.HeldSubscription])
async def list_subscriptions(  # noqa: PLR0913  one for each filter
    house: Housed,
    caller: Calling,
    part: Parted,
    *,
    identity: Annotated[str | None, Query(max_length=256, description="Of this identity alone.")] = None,
    client_id: Annotated[str | None, Query(max_length=4_096, description="Of this Client Identifier alone.")] = None,
    topic: Annotated[
        str | None,
        Query(
            max_length=TOPIC_CHARS_MAX,
            description="Those that get a message with this Topic Name; of a tenant's client, with its root before it.",
        ),
    ] = None,
    sort: Order = "client_id",
) -> Mapping[str, Any]:
    """List Subscriptions of Sessions, connected or away. More than 100,000 that fit are refused: name less."""
    asked = {"identity": identity, "client_id": client_id, "topic": topic}
    found = await house.broker.inspecting.subscriptions({key: one for key, one in asked.items() if one is not None})
    return page_of([one for one in found if caller.sees(one["tenant"])], part, "client_id", sort, "tenant", "filter")
