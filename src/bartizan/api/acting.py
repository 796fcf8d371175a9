"""Control: an identity is revoked, put into quarantine or released, at once; the answer says what that ended."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.bodies import body_of, time_of, told
from bartizan.broker.app import Broker
from bartizan.identity.register import Register
from bartizan.respond.actions import Actions


def acting_routes(broker: Broker) -> list[Route]:
    """The routes."""
    actions = Actions(Register(broker.store), broker.in_force)

    async def revoke(request: Request) -> Response:
        body = await body_of(request)
        done = await actions.revoke(
            request.path_params["name"],
            at=datetime.now(UTC),
            note=str(body.get("note", "")),
            clears_retained=bool(body.get("clear_retained", False)),
        )
        return JSONResponse(done.as_dict())

    async def quarantine(request: Request) -> Response:
        body = await body_of(request)
        until, reason = time_of(body.get("until")), str(body.get("reason", ""))
        return JSONResponse(
            (await actions.quarantine(request.path_params["name"], until=until, reason=reason)).as_dict()
        )

    async def release(request: Request) -> Response:
        return JSONResponse((await actions.release(request.path_params["name"])).as_dict())

    return [
        Route("/v1/identities/{name:path}/revoke", told(revoke), methods=["POST"]),
        Route("/v1/identities/{name:path}/quarantine", told(quarantine), methods=["POST"]),
        Route("/v1/identities/{name:path}/release", told(release), methods=["POST"]),
    ]
