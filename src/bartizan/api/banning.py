"""Control: something is banned, or is no more; who would be hit; a Session is discarded."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, time_of, told
from bartizan.broker.app import Broker
from bartizan.broker.hands import hands_of
from bartizan.broker.hit import hit_by
from bartizan.model.actor import Actor
from bartizan.model.ban import Ban, BanOf, new_ban


def banning_routes(broker: Broker) -> list[Route]:
    """The routes."""

    async def add(request: Request) -> Response:
        ban = _ban_of(await body_of(request), actor_of(request))
        return JSONResponse((await hands_of(broker, actor_of(request).because(ban.reason)).bans.add(ban)).as_dict())

    async def preview(request: Request) -> Response:
        met = await hit_by(broker, _ban_of(await body_of(request), actor_of(request)))
        return JSONResponse({"clients": met})

    async def remove(request: Request) -> Response:
        removed = await hands_of(broker, actor_of(request)).bans.remove(request.path_params["name"], datetime.now(UTC))
        return JSONResponse(removed.as_dict())

    return [
        Route("/v1/bans", told(add), methods=["POST"]),
        Route("/v1/bans/preview", told(preview), methods=["POST"]),
        Route("/v1/bans/{name:path}/remove", told(remove), methods=["POST"]),
    ]


def _ban_of(body: dict[str, Any], actor: Actor) -> Ban:
    return new_ban(
        BanOf(body["of"]),
        str(body["what"]),
        at=datetime.now(UTC),
        until=time_of(body.get("until")),
        issuer=str(body.get("issuer", "")),
        reason=str(body.get("reason", "")),
        by=actor.name,
    )
