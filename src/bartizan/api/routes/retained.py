"""Retained Messages: which there are, what one says, and out with them. Who reads one, or removes some, is on record."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Query

from bartizan.api import schemas_live as schemas
from bartizan.api.house import Housed
from bartizan.api.paging import Page, Parted, cursor_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.sessions import time_of
from bartizan.api.routing import Routes
from bartizan.model.actor import WHY_CHARS_MAX

ROUTES = Routes("retained")

TOPIC_CHARS_MAX: Final = 4_096
"""In the address of a request there is no room for the longest ones."""

Filter = Annotated[str, Query(min_length=1, max_length=TOPIC_CHARS_MAX, description="A Topic Filter.")]
Why = Annotated[str, Query(max_length=WHY_CHARS_MAX, description="For the record.")]


@ROUTES.on("GET", "/retained", Permission.LOOK_ALL, response_model=Page[schemas.RetainedMessage])
async def list_retained(house: Housed, part: Parted, filter: Filter = "#") -> Mapping[str, Any]:
    """List Retained Messages that a Topic Filter matches, in the order of their topics, without what they say."""
    cursor = part.cursor()
    found = await house.broker.inspecting.retained(filter, None if cursor is None else str(cursor[0]), part.limit)
    behind = found["next"]
    return {"items": [_told(one) for one in found["messages"]], "next": None if behind is None else cursor_of(behind)}


@ROUTES.on(
    "GET",
    "/retained/message",
    Permission.PAYLOADS,
    response_model=schemas.RetainedMessageInFull,
    response_model_exclude_unset=True,
)
async def read_retained(
    house: Housed,
    topic: Annotated[str, Query(min_length=1, max_length=TOPIC_CHARS_MAX, description="The Topic Name.")],
    why: Why = "",
) -> Mapping[str, Any]:
    """Read the Retained Message of a topic, with its payload and properties. That it was read is on record."""
    return _told(await house.broker.inspecting.message(topic, house.because(why).actor))


@ROUTES.on("DELETE", "/retained", Permission.CLEAR, response_model=schemas.Cleared)
async def clear_retained(house: Housed, filter: Filter, why: Why = "") -> dict[str, int]:
    """Remove Retained Messages that a Topic Filter matches. Subscribers are not told; whoever subscribes later is not sent them."""
    return {"count": await house.broker.inspecting.clear_retained(filter, house.because(why).actor)}


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(message)
    return told | {"expires_at": time_of(told.pop("expires_at_ms"))}
