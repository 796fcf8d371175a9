"""Every route is guarded, by what stands beside it: login, permission, a second operator, and what is told.

The permission is the route's own (`x-permission`, seen in the served schema too), never read from the path of a
request. A route without one cannot be made. `x-two-person` names what `[api] two_person` may name.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from bartizan.api.approvals import Waiting
from bartizan.api.caller import SAFE_METHODS, Caller, Door, shows_something, unproved
from bartizan.api.house import House
from bartizan.api.permissions import Permission
from bartizan.api.problems import status_of
from bartizan.config.api import Act
from bartizan.errors import BartizanError, NotFound

if TYPE_CHECKING:
    from bartizan.api.repeats import Repeats

EXTENSION: Final = "x-permission"
TWO_PERSON: Final = "x-two-person"
LOGIN: Final = {"www-authenticate": 'Bearer realm="bartizan"'}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Guarded(APIRoute):
    """A route that asks who calls before it looks at anything else."""

    _later: Handler

    @property
    def permission(self) -> Permission:
        """What it asks for; `KeyError` for a route that does not say."""
        return Permission((self.openapi_extra or {})[EXTENSION])

    @property
    def act(self) -> Act | None:
        """What it is called where it takes two operators."""
        named = (self.openapi_extra or {}).get(TWO_PERSON)
        return None if named is None else Act(named)

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def get_route_handler(self) -> Handler:
        """The handler behind the guard."""
        handle, permission, act = super().get_route_handler(), self.permission, self.act

        async def admitted(request: Request) -> Response:
            house: House = request.app.state.house
            if permission is Permission.ANYONE:
                return await handle(request)
            caller = await _caller(request)
            request.state.caller = caller
            caller.require(permission, house.settings, house.now())
            if request.method in SAFE_METHODS:
                return await handle(request)
            if act is not None and house.approvals.holds(act, caller):

                async def wait(request: Request) -> Response:
                    return await house.approvals.ask(request, act, permission, house.serving(caller.actor).trail)

                return await _told(wait, request, house, caller)
            return await _told(handle, request, house, caller)

        async def later(request: Request) -> Response:
            caller: Caller = request.state.caller
            return await _told(handle, request, request.app.state.house, caller, why=caller.actor.why)

        self._later = _with_refusals_told(later)
        return _with_refusals_told(admitted)

    def later(self, waiting: Waiting) -> Handler | None:
        """What does a request that has waited for a second operator: told like any other. None for one of another route."""
        if (self.act, self.permission) != (waiting.act, waiting.permission):
            return None
        match, found = self.matches({"type": "http", **waiting.scope})
        if match is not Match.FULL:
            return None

        async def done(request: Request) -> Response:
            request.scope.update(found)
            return await self._later(request)

        return done


def handler_of(request: Request, waiting: Waiting) -> Handler:
    """What does a request that has waited, by its route; `NotFound` where this Bartizan has no such route any more."""
    routes = [route for route in request.app.routes if isinstance(route, Guarded)]
    found = next((handle for route in routes if (handle := route.later(waiting)) is not None), None)
    if found is None:
        raise NotFound(f"there is no {waiting.request} any more: ask for it anew")
    return found


async def _caller(request: Request) -> Caller:
    door: Door = request.app.state.door
    caller = await door.caller(request)
    if caller is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "log in: POST /api/v1/session", LOGIN)
    return caller


def _with_refusals_told(handle: Handler) -> Handler:
    """The same, and what it denies is told, of whom it denied it to. Who shows nothing has only not logged in yet."""

    async def told(request: Request) -> Response:
        try:
            return await handle(request)
        except HTTPException as error:
            _tell_refused(request, request.app.state.house, error)
            raise

    return told


def _tell_refused(request: Request, house: House, error: HTTPException) -> None:
    caller: Caller | None = getattr(request.state, "caller", None)
    is_unproved = error.status_code == HTTPStatus.UNAUTHORIZED and caller is None and shows_something(request)
    if error.status_code == HTTPStatus.FORBIDDEN or is_unproved:
        actor = unproved(request) if caller is None else caller.actor
        asked = f"{request.method} {request.url.path}"
        house.refusals.tell(actor, asked, error.status_code, str(error.detail))


async def _told(handle: Handler, request: Request, house: House, caller: Caller, *, why: str = "") -> Response:
    """Does it once for each `Idempotency-Key`, and tells what became of it; that it was denied, the guard tells."""
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
        if outcome != str(int(HTTPStatus.FORBIDDEN)):
            # The path names what was changed; no secret is ever in one.
            said = {"request": f"{request.method} {request.url.path}", "outcome": outcome}
            house.tell("operator_acted", caller.actor, **said, **({"why": why} if why else {}))
