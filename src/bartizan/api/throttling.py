"""Control: an identity is throttled, or no more."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, time_of, told
from bartizan.broker.app import Broker
from bartizan.broker.hands import hands_of
from bartizan.model.throttle import new_throttle


def throttling_routes(broker: Broker) -> list[Route]:
    """The routes."""

    async def every(_request: Request) -> Response:
        return JSONResponse([each.as_dict() for each in broker.directory.throttles(datetime.now(UTC))])

    async def put(request: Request) -> Response:
        body, actor = await body_of(request), actor_of(request)
        until = time_of(str(body["until"]))
        if until is None:
            raise ValueError("until")
        throttle = new_throttle(
            request.path_params["name"],
            messages_per_s=int(body.get("messages_per_s", 0)),
            bytes_per_s=int(body.get("bytes_per_s", 0)),
            until=until,
            reason=str(body.get("reason", "")),
            by=actor.name,
        )
        await hands_of(broker, actor.because(throttle.reason)).throttle(throttle)
        return JSONResponse(throttle.as_dict())

    async def remove(request: Request) -> Response:
        return JSONResponse(
            (await hands_of(broker, actor_of(request)).unthrottle(request.path_params["name"])).as_dict()
        )

    return [
        Route("/v1/throttles", every),
        Route("/v1/throttles/{name:path}/remove", told(remove), methods=["POST"]),
        Route("/v1/throttles/{name:path}/put", told(put), methods=["POST"]),
    ]
