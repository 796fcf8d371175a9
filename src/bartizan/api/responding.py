"""Control: an operator confirms what a playbook waits to do, or dismisses it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as Answer
from starlette.routing import Route

from bartizan.api.bodies import body_of, told
from bartizan.broker.app import Broker
from bartizan.broker.responding import Responding
from bartizan.errors import NotFound
from bartizan.model.response import Response


def responding_routes(broker: Broker) -> list[Route]:
    """The routes."""

    def settling(settle: Callable[[int, str], Awaitable[Response]]) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(request: Request) -> Answer:
            body = await body_of(request)
            settled = await settle(int(body["number"]), str(body["by"]))
            return JSONResponse({"number": settled.number, "outcome": settled.outcome, "text": settled.text})

        return told(answer)

    def responding() -> Responding:
        if broker.detection.responding is None:
            raise NotFound("nothing waits")
        return broker.detection.responding

    async def confirm(number: int, by: str) -> Response:
        return await responding().confirm(number, by)

    async def dismiss(number: int, by: str) -> Response:
        return await responding().dismiss(number, by)

    return [
        Route("/v1/responses/confirm", settling(confirm), methods=["POST"]),
        Route("/v1/responses/dismiss", settling(dismiss), methods=["POST"]),
    ]
