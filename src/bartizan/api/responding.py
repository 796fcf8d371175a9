"""What a playbook waits to do is confirmed by an operator, or dismissed: on record as that one's. And control's routes."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as Answer
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, told
from bartizan.broker.app import Broker
from bartizan.broker.hands import Hands, hands_of
from bartizan.broker.responding import Responding
from bartizan.errors import NotFound
from bartizan.model.actor import Actor
from bartizan.model.response import Response

Settle = Callable[[Responding, int, Hands], Awaitable[Response]]


async def confirmed(broker: Broker, actor: Actor, number: int) -> Response:
    """Does what waits; `NotFound` if it waits no more, or has waited too long."""
    return await _recorded(broker, actor, number, "response.confirm", Responding.confirm)


async def dismissed(broker: Broker, actor: Actor, number: int) -> Response:
    """Does not do what waits; `NotFound` if it waits no more."""
    return await _recorded(broker, actor, number, "response.dismiss", Responding.dismiss)


def responding_routes(broker: Broker) -> list[Route]:
    """The routes."""

    def settling(
        settle: Callable[[Broker, Actor, int], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(request: Request) -> Answer:
            body = await body_of(request)
            settled = await settle(broker, actor_of(request), int(body["number"]))
            return JSONResponse({"number": settled.number, "outcome": settled.outcome, "text": settled.text})

        return told(answer)

    return [
        Route("/v1/responses/confirm", settling(confirmed), methods=["POST"]),
        Route("/v1/responses/dismiss", settling(dismissed), methods=["POST"]),
    ]


async def _recorded(broker: Broker, actor: Actor, number: int, what: str, settle: Settle) -> Response:
    hands = hands_of(broker, actor)
    span = await hands.trail.begin(what, f"response/{number}")
    async with hands.trail.settling(span, what):
        if broker.detection.responding is None:
            raise NotFound("nothing waits")
        return await settle(broker.detection.responding, number, hands)
