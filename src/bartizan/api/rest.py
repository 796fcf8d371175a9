"""The REST API as an app: every route, behind its guard, one app for each door. `describe` makes its OpenAPI alone."""

import json
import sys
from typing import Any, Final

from fastapi import FastAPI

from bartizan.api.caller import COOKIE, Door, SocketDoor, TlsDoor
from bartizan.api.doorkeeping import Headers, Rate
from bartizan.api.guard import Guarded
from bartizan.api.house import House
from bartizan.api.lazy import PREFIX
from bartizan.api.problems import install
from bartizan.api.repeats import Repeats
from bartizan.api.routes import (
    actions,
    approvals,
    audit,
    bans,
    broker,
    certificates,
    clients,
    credentials,
    events,
    findings,
    groups,
    identities,
    oidc,
    operators,
    passkeys,
    policy,
    retained,
    runbooks,
    session,
    sessions,
    staging,
    subscriptions,
    throttles,
    tokens,
    topics,
    traces,
)
from bartizan.config.api import ApiSettings

VERSION: Final = "1.0"
RESOURCES: Final = (
    session,
    passkeys,
    oidc,
    broker,
    events,
    clients,
    identities,
    credentials,
    actions,
    bans,
    sessions,
    subscriptions,
    traces,
    retained,
    topics,
    runbooks,
    throttles,
    certificates,
    groups,
    operators,
    tokens,
    approvals,
    policy,
    staging,
    findings,
    audit,
)

DESCRIPTION: Final = """\
What operators see and do. Every route names its permission (`x-permission`) and, where it may take two operators, what
`[api] two_person` calls that (`x-two-person`); errors are problem+json (RFC 9457);
lists are paged by cursor; what is edited has an ETag; a change may carry an `Idempotency-Key`.
"""

SCHEMES: Final = {
    "session": {"type": "http", "scheme": "bearer", "description": "The token of `POST /session` with `keep: token`."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "For browsers."},
}


def for_socket(house: House) -> FastAPI:
    """For the control socket: who may open it needs no login."""
    return _app(house, SocketDoor(), house.settings)


def for_tls(house: House) -> FastAPI:
    """For the port: logins of operators."""
    app = _app(house, TlsDoor(house.operators, house.sessions, house.settings), house.settings)
    app.add_middleware(Rate, per_s=house.settings.requests_per_s)
    app.add_middleware(Headers)  # outermost: on every answer
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document."""
    return _app(None, None, ApiSettings()).openapi()


class _Rest(FastAPI):
    """With the ways to show a login in its description."""

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def openapi(self) -> dict[str, Any]:
        """The document; FastAPI keeps it."""
        told = super().openapi()
        told.setdefault("components", {})["securitySchemes"] = SCHEMES
        return told


def _app(house: House | None, door: Door | None, settings: ApiSettings) -> FastAPI:
    app = _Rest(
        title="Bartizan",
        version=VERSION,
        description=DESCRIPTION,
        # What FastAPI would serve by itself would be served to everyone.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": PREFIX}],
        max_body_size=settings.body_bytes_max,
        redirect_slashes=False,
    )
    app.router.route_class = Guarded
    app.state.house, app.state.door = house, door
    if house is not None:
        app.state.repeats = Repeats(house.now)
    install(app)
    for resource in RESOURCES:
        resource.ROUTES.add_to(app)
    return app


if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe(), indent=1, ensure_ascii=False) + "\n")
