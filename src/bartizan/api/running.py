"""Control: a runbook is run, or it is only said who would be hit."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, told
from bartizan.broker.app import Broker
from bartizan.broker.runbooks import hit_by_run, ran


def running_routes(broker: Broker) -> list[Route]:
    """The routes."""

    async def run(request: Request) -> Response:
        body = await body_of(request)
        name, subject, why = request.path_params["name"], str(body["for"]), str(body.get("reason", ""))
        return JSONResponse((await ran(broker, actor_of(request), name, subject, why)).as_dict())

    async def preview(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse((await hit_by_run(broker, request.path_params["name"], str(body["for"]))).as_dict())

    return [
        Route("/v1/runbooks/{name:path}/run", told(run), methods=["POST"]),
        Route("/v1/runbooks/{name:path}/preview", told(preview), methods=["POST"]),
    ]
