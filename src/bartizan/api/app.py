"""The routes. Monitoring reads; control (Unix socket only) acts. Whoever may open the socket is the operator."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bartizan.api.acting import acting_routes
from bartizan.api.asking import actor_of
from bartizan.api.banning import banning_routes
from bartizan.api.metrics import exposition
from bartizan.api.responding import responding_routes
from bartizan.api.running import running_routes
from bartizan.api.throttling import throttling_routes
from bartizan.api.watching import watching_routes
from bartizan.broker.app import Broker, State
from bartizan.broker.chores import installed_version
from bartizan.broker.hands import hands_of
from bartizan.broker.ports import ADMINISTRATIVE_ACTION, ORDERED_REASONS
from bartizan.config.danger import dangers

CLIENTS_PER_PAGE_MAX = 1_000


def monitoring(broker: Broker) -> Starlette:
    """`/metrics` and `/health/*`: reads only."""
    return Starlette(routes=_monitoring(broker))


def control(broker: Broker) -> Starlette:
    """Monitoring, and what the command line asks of a running broker."""
    groups = (
        _monitoring,
        _control,
        watching_routes,
        responding_routes,
        acting_routes,
        banning_routes,
        running_routes,
        throttling_routes,
    )
    return Starlette(routes=[route for group in groups for route in group(broker)])


def readiness(broker: Broker) -> Response:
    """Whether clients are accepted: 200, or 503 and why not."""
    state = "store failed" if broker.store_failed else broker.state.value
    well = state == State.READY.value
    return PlainTextResponse(f"{state}\n", HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)


def _monitoring(broker: Broker) -> list[Route]:
    async def metrics(request: Request) -> Response:
        text, content_type = exposition(broker, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def live(_request: Request) -> Response:
        return PlainTextResponse("live\n")

    async def ready(_request: Request) -> Response:
        return readiness(broker)

    return [Route("/metrics", metrics), Route("/health/live", live), Route("/health/ready", ready)]


def _control(broker: Broker) -> list[Route]:
    async def clients(request: Request) -> Response:
        limit = _number(request, "limit", CLIENTS_PER_PAGE_MAX)
        page = broker.engine.clients(request.query_params.get("after", ""), min(limit, CLIENTS_PER_PAGE_MAX))
        return Response(page, media_type="application/json")

    async def disconnect(request: Request) -> Response:
        reason = _number(request, "reason", ADMINISTRATIVE_ACTION)
        if reason not in ORDERED_REASONS:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"reason {reason:#04x} is none a server sends by order")
        tenant, client_id = request.query_params.get("tenant"), request.path_params["client_id"]
        if not await hands_of(broker, actor_of(request)).disconnect(client_id, reason, tenant):
            raise HTTPException(HTTPStatus.NOT_FOUND, "no client of this Client Identifier is connected")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def reload(request: Request) -> Response:
        report = await broker.reload(actor_of(request))
        return JSONResponse(report.as_dict(), HTTPStatus.UNPROCESSABLE_ENTITY if report.refused else HTTPStatus.OK)

    async def status(_request: Request) -> Response:
        return JSONResponse(_status(broker, await asyncio.to_thread(broker.policy_to_read)))

    return [
        Route("/v1/clients", clients),
        Route("/v1/clients/{client_id:path}/disconnect", disconnect, methods=["POST"]),
        Route("/v1/reload", reload, methods=["POST"]),
        Route("/v1/status", status),
    ]


def _status(broker: Broker, policy_files: Sequence[Path]) -> dict[str, object]:
    return {
        "state": broker.state.value,
        "version": installed_version(),
        "uptime_s": broker.uptime_s(),
        "listeners": [
            {"name": bound.name, "address": bound.address, "transport": bound.transport}
            for bound in broker.engine.listeners()
        ],
        "policy": {
            "digest": broker.in_force.policy.digest,
            "epoch": broker.in_force.epoch,
            "files": [str(name) for name in policy_files],
        },
        "identities": len(broker.directory),
        "dangers": [danger.setting for danger in dangers(broker.settings)],
        "numbers": broker.chores.numbers(),
    }


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = int(text, 0)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name}={text!r} is no number") from None
    if number < 0:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name} is below zero")
    return number
