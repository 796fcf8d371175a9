"""Events as they happen."""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from fastapi import Query
from starlette.requests import Request

from bartizan.api.house import Calling, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.api.stream import Event, EventStream, is_at_least, lines_of
from bartizan.broker.app import State
from bartizan.broker.log import Level

if TYPE_CHECKING:
    from bartizan.api.caller import Door

ROUTES = Routes("events")

OF_OPERATORS = "operator_*"
"""Who has logged in, from where, and what they did: for whoever may look at operators."""


@ROUTES.on("GET", "/events", Permission.LOOK_ALL, response_class=EventStream)
async def read_events(
    request: Request,
    house: Housed,
    caller: Calling,
    *,
    kind: Annotated[
        str, Query(max_length=256, description="A pattern of kinds, such as `finding` or `operator_*`.")
    ] = "*",
    level: Annotated[Level, Query(description="Of this severity, or worse.")] = "info",
    identity: Annotated[str | None, Query(max_length=128, description="Of this identity alone.")] = None,
) -> EventStream:
    """Read events as they happen (server-sent events), until the login ends. What a slow reader missed is told: `lost`."""
    door: Door = request.app.state.door
    sees_operators = caller.may(Permission.OPERATORS_LOOK)

    def fits(event: Event) -> bool:
        name = str(event.get("event", ""))
        return (
            fnmatchcase(name, kind)
            and is_at_least(event, level)
            and (identity is None or event.get("identity") == identity)
            and (sees_operators or not fnmatchcase(name, OF_OPERATORS))
        )

    async def goes_on() -> bool:
        if house.broker.state is not State.READY:
            return False
        now = await door.again(request, caller)
        return (
            now is not None
            and now.may(Permission.LOOK_ALL)
            and (not sees_operators or now.may(Permission.OPERATORS_LOOK))
        )

    line, end = house.readers.open(fits)
    return EventStream(lines_of(line, goes_on), end)
