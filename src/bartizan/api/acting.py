"""Control: an identity is revoked, put into quarantine or released, at once; the answer says what that ended."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, time_of, told
from bartizan.broker.app import Broker
from bartizan.broker.hands import hands_of
from bartizan.respond.actions import Actions


def acting_routes(broker: Broker) -> list[Route]:
    """The routes."""

    def actions(request: Request, why: str = "") -> Actions:
        return hands_of(broker, actor_of(request).because(why)).actions

    async def revoke(request: Request) -> Response:
        body = await body_of(request)
        note = str(body.get("note", ""))
        done = await actions(request, note).revoke(
            request.path_params["name"],
            at=datetime.now(UTC),
            note=note,
            clears_retained=bool(body.get("clear_retained", False)),
        )
        return JSONResponse(done.as_dict())

    async def quarantine(request: Request) -> Response:
        body = await body_of(request)
        until, reason = time_of(body.get("until")), str(body.get("reason", ""))
        done = await actions(request, reason).quarantine(
            request.path_params["name"],
            until=until,
            reason=reason,
            ticket=str(body.get("ticket", "")),
            by=actor_of(request).name,
        )
        return JSONResponse(done.as_dict())

    async def release(request: Request) -> Response:
        return JSONResponse((await actions(request).release(request.path_params["name"])).as_dict())

    return [
        Route("/v1/identities/{name:path}/revoke", told(revoke), methods=["POST"]),
        Route("/v1/identities/{name:path}/quarantine", told(quarantine), methods=["POST"]),
        Route("/v1/identities/{name:path}/release", told(release), methods=["POST"]),
    ]
