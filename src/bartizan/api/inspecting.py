"""Control: a Session, Retained Messages, topics; Retained Messages are removed."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, told
from bartizan.broker.app import Broker
from bartizan.broker.inspecting import PAGE


def inspecting_routes(broker: Broker) -> list[Route]:
    """The routes."""

    async def session(request: Request) -> Response:
        tenant = request.query_params.get("tenant")
        # What it was denied a moment ago is what is looked for.
        await broker.watching.write_some()
        return JSONResponse(await broker.inspecting.session(request.path_params["client_id"], tenant))

    async def retained(request: Request) -> Response:
        asked = request.query_params
        page = await broker.inspecting.retained(
            asked.get("filter", "#"),
            asked.get("after"),
            int(asked.get("limit", PAGE)),
            whole=asked.get("whole", "") == "true",
        )
        return JSONResponse(page)

    async def clear_retained(request: Request) -> Response:
        body = await body_of(request)
        actor = actor_of(request).because(str(body.get("why", "")))
        return JSONResponse({"count": await broker.inspecting.clear_retained(str(body["filter"]), actor)})

    async def topics(request: Request) -> Response:
        asked = request.query_params
        prefix, depth, over_s = asked.get("prefix", ""), int(asked.get("depth", 1)), float(asked.get("over_s", 0))
        return JSONResponse(await broker.inspecting.topics(prefix, depth, over_s=over_s))

    return [
        Route("/v1/clients/{client_id:path}/session", told(session)),
        Route("/v1/retained", told(retained)),
        Route("/v1/retained/clear", told(clear_retained), methods=["POST"]),
        Route("/v1/topics", told(topics)),
    ]
