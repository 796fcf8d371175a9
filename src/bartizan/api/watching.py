"""Control: what is observed of decisions is written now; a policy is staged or not; a lesson begins or ends."""

from dataclasses import asdict
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, time_of, told
from bartizan.broker.app import Broker


def watching_routes(broker: Broker) -> list[Route]:
    """The routes."""
    watching = broker.watching

    async def write(_request: Request) -> Response:
        await watching.write()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def stage(request: Request) -> Response:
        body = await body_of(request)
        texts = tuple((str(name), str(text)) for name, text in body["texts"])
        staged = asdict(await watching.stage(texts, time_of(body.get("until")), actor_of(request)))
        return JSONResponse({key: staged[key] for key in ("digest", "since", "until")})

    async def unstage(request: Request) -> Response:
        return JSONResponse({"was_staged": await watching.unstage(actor_of(request))})

    async def learn(request: Request) -> Response:
        body = await body_of(request)
        until = time_of(body.get("until"))
        if until is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a lesson has an end: until")
        listeners = tuple(map(str, body["listeners"]))
        lesson = await watching.learn(listeners, until, str(body.get("out", "")), actor_of(request))
        return JSONResponse(asdict(lesson))

    async def stop_learning(request: Request) -> Response:
        return JSONResponse({"was_learning": await watching.stop_learning(actor_of(request))})

    return [
        Route("/v1/observations/write", told(write), methods=["POST"]),
        Route("/v1/policy/stage", told(stage), methods=["POST"]),
        Route("/v1/policy/unstage", told(unstage), methods=["POST"]),
        Route("/v1/policy/learn", told(learn), methods=["POST"]),
        Route("/v1/policy/learn/stop", told(stop_learning), methods=["POST"]),
    ]
