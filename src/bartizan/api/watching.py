"""Control: what is observed of decisions is written now; a policy is staged or not; a lesson begins or ends."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.broker.app import Broker
from bartizan.errors import BartizanError


def watching_routes(broker: Broker) -> list[Route]:
    """The routes."""
    watching = broker.watching

    async def write(_request: Request) -> Response:
        await watching.write()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def stage(request: Request) -> Response:
        body = await body_of(request)
        texts = tuple((str(name), str(text)) for name, text in body["texts"])
        staged = asdict(await watching.stage(texts, _time(body.get("until"))))
        return JSONResponse({key: staged[key] for key in ("digest", "since", "until")})

    async def unstage(_request: Request) -> Response:
        return JSONResponse({"was_staged": await watching.unstage()})

    async def learn(request: Request) -> Response:
        body = await body_of(request)
        until = _time(body.get("until"))
        if until is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a lesson has an end: until")
        lesson = await watching.learn(tuple(map(str, body["listeners"])), until, str(body.get("out", "")))
        return JSONResponse(asdict(lesson))

    async def stop_learning(_request: Request) -> Response:
        return JSONResponse({"was_learning": await watching.stop_learning()})

    return [
        Route("/v1/observations/write", told(write), methods=["POST"]),
        Route("/v1/policy/stage", told(stage), methods=["POST"]),
        Route("/v1/policy/unstage", told(unstage), methods=["POST"]),
        Route("/v1/policy/learn", told(learn), methods=["POST"]),
        Route("/v1/policy/learn/stop", told(stop_learning), methods=["POST"]),
    ]


Handler = Callable[[Request], Awaitable[Response]]


def told(handler: Handler) -> Handler:
    """The same; an error of ours, or a body that is none, is told in words."""

    async def telling(request: Request) -> Response:
        try:
            return await handler(request)
        except BartizanError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"not what is asked for here: {error}"}, HTTPStatus.BAD_REQUEST)

    return telling


async def body_of(request: Request) -> dict[str, Any]:
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError("the body is an object")
    return body


def _time(text: str | None) -> datetime | None:
    at = None if text is None else datetime.fromisoformat(text)
    if at is not None and at.tzinfo is None:
        raise ValueError("a time says its zone")
    return at
