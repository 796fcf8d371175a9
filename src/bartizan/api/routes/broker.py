"""The broker itself: what it is, where it listens, what it risks, how it is set."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Response
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from bartizan.api import schemas
from bartizan.api.app import readiness
from bartizan.api.house import Calling, Housed
from bartizan.api.metrics import exposition
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.broker.chores import installed_version
from bartizan.config.danger import dangers

ROUTES = Routes("broker")

HIDDEN: Final = "(hidden)"


@ROUTES.on("GET", "/openapi.json", Permission.ANYONE, response_class=JSONResponse, include_in_schema=False)
async def read_openapi(request: Request) -> JSONResponse:
    """Read the description of this API (OpenAPI 3.1)."""
    return JSONResponse(request.app.openapi())


@ROUTES.on("GET", "/health", Permission.ANYONE, response_class=PlainTextResponse)
async def read_health(house: Housed) -> Response:
    """Ask whether clients are accepted: 200, or 503 and why not."""
    return readiness(house.broker)


@ROUTES.on("GET", "/status", Permission.LOOK_ALL, response_model=schemas.Status)
async def show_status(house: Housed) -> dict[str, Any]:
    """Show the broker: state, version, how many clients."""
    broker = house.broker
    return {
        "state": broker.state.value,
        "version": installed_version(),
        "uptime_s": broker.uptime_s(),
        "clients_connected": broker.engine.metrics().get("clients_connected", 0),
        "identities": len(broker.directory),
        "policy": broker.in_force.policy.digest,
        "epoch": broker.in_force.epoch,
    }


@ROUTES.on("GET", "/metrics", Permission.LOOK_ALL, response_class=PlainTextResponse)
async def read_metrics(house: Housed, request: Request) -> Response:
    """Read every metric, in Prometheus' form."""
    text, content_type = exposition(house.broker, request.headers.get("accept", ""))
    return Response(text, headers={"content-type": content_type})


@ROUTES.on("GET", "/listeners", Permission.LOOK_ALL, response_model=list[schemas.Listener])
async def list_listeners(house: Housed) -> Sequence[dict[str, Any]]:
    """List where clients connect."""
    settings = house.broker.settings.listeners
    return [
        {
            "name": bound.name,
            "address": bound.address,
            "transport": bound.transport,
            "protocol": settings[bound.name].protocol,
            "tls": settings[bound.name].tls,
            "client_certificates": settings[bound.name].client_certificates if settings[bound.name].tls else "off",
            "anonymous": settings[bound.name].danger_anonymous is not None,
        }
        for bound in house.broker.engine.listeners()
    ]


@ROUTES.on("GET", "/dangers", Permission.LOOK_ALL, response_model=list[schemas.Danger])
async def list_dangers(house: Housed) -> Sequence[dict[str, Any]]:
    """List the risks in force, each with the reason that was given."""
    return [
        {"setting": danger.setting, "reason": danger.reason, "effect": danger.effect}
        for danger in dangers(house.broker.settings)
    ]


@ROUTES.on("GET", "/config", Permission.SETTINGS, response_model=dict[str, Any])
async def show_config(house: Housed) -> dict[str, Any]:
    """Show the settings that the broker started with. Secrets are hidden; files are named, not read."""
    shown: dict[str, Any] = without_secrets(house.broker.settings.model_dump(mode="json"))
    return shown


@ROUTES.on("POST", "/reload", Permission.RELOAD, response_model=schemas.Reload)
async def reload(house: Housed, caller: Calling, response: Response) -> dict[str, Any]:
    """Read configuration, certificates and policy again. What cannot be used changes nothing (422, and why)."""
    report = await house.broker.reload(caller.actor)
    if report.refused:
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    return report.as_dict()


def without_secrets(value: Any, name: str = "") -> Any:  # noqa: ANN401  what JSON holds
    """The same, without what a URL may say by which somebody is let in: its query, and of an alert its path."""
    if isinstance(value, Mapping):
        return {key: without_secrets(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [without_secrets(each, name) for each in value]
    if not (name.endswith("_url") and isinstance(value, str)):
        return value
    parts = urlsplit(value)
    # Chat services take messages from whoever knows the path.
    path = f"/{HIDDEN}" if name == "alert_url" and parts.path.strip("/") else parts.path
    return parts._replace(path=path, query=HIDDEN if parts.query else "").geturl()
