"""Every route is guarded, by what stands beside it: login, permission, and what is told of each change.

The permission is the route's own (`x-permission`, seen in the served schema too), never read from the path of a
request. A route without one cannot be made.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bartizan.api.caller import SAFE_METHODS, Caller, Door
from bartizan.api.house import House
from bartizan.api.permissions import Permission
from bartizan.api.problems import status_of
from bartizan.errors import BartizanError

if TYPE_CHECKING:
    from bartizan.api.repeats import Repeats

EXTENSION: Final = "x-permission"
LOGIN: Final = {"www-authenticate": 'Bearer realm="bartizan"'}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Guarded(APIRoute):
    """A route that asks who calls before it looks at anything else."""

    @property
    def permission(self) -> Permission:
        """What it asks for; `KeyError` for a route that does not say."""
        return Permission((self.openapi_extra or {})[EXTENSION])

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def get_route_handler(self) -> Handler:
        """The handler behind the guard."""
        handle, permission = super().get_route_handler(), self.permission

        async def guarded(request: Request) -> Response:
            house: House = request.app.state.house
            if permission is Permission.ANYONE:
                return await handle(request)
            caller = await _caller(request)
            request.state.caller = caller
            caller.require(permission, house.settings, house.now())
            if request.method in SAFE_METHODS:
                return await handle(request)
            return await _told(handle, request, house, caller)

        return guarded


async def _caller(request: Request) -> Caller:
    door: Door = request.app.state.door
    caller = await door.caller(request)
    if caller is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "log in: POST /api/v1/session", LOGIN)
    return caller


async def _told(handle: Handler, request: Request, house: House, caller: Caller) -> Response:
    """Does it once for each `Idempotency-Key`, and tells what became of it."""
    repeats: Repeats = request.app.state.repeats
    outcome = "failed"
    try:
        answer = await repeats.once(request, caller.actor, handle)
        outcome = str(answer.status_code)
    except HTTPException as error:
        outcome = str(error.status_code)
        raise
    except BartizanError as error:
        outcome = str(int(status_of(error)))
        raise
    else:
        return answer
    finally:
        # The path names what was changed; no secret is ever in one.
        house.tell("operator_acted", caller.actor, request=f"{request.method} {request.url.path}", outcome=outcome)
