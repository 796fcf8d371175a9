"""How a route is written down: method, path and permission beside the function. `rest` makes an app of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI

from bartizan.api import schemas
from bartizan.api.guard import EXTENSION, TWO_PERSON
from bartizan.api.permissions import Permission
from bartizan.api.problems import MEDIA_TYPE, Problem
from bartizan.config.api import Act

F = TypeVar("F", bound=Callable[..., Any])
Answers = dict[int | str, dict[str, Any]]

ERRORS: Answers = {
    "default": {
        "description": "What is wrong (RFC 9457)",
        "model": Problem,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}

WAITS: Answers = {
    int(HTTPStatus.ACCEPTED): {"description": "It waits for a second operator", "model": schemas.Approval}
}


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    path: str
    permission: Permission
    handle: Callable[..., Any]
    status: int
    act: Act | None
    more: dict[str, Any]


@dataclass(slots=True)
class Routes:
    """The routes of one resource."""

    tag: str
    routes: list[Route] = field(default_factory=list)

    def on(
        self,
        method: str,
        path: str,
        permission: Permission,
        *,
        status: int = HTTPStatus.OK,
        act: Act | None = None,
        **more: Any,  # noqa: ANN401
    ) -> Callable[[F], F]:
        """Decorates what handles such requests; `act` is what may take two operators, `more` is as FastAPI takes it."""

        def note(handle: F) -> F:
            self.routes.append(Route(method, path, permission, handle, status, act, more))
            return handle

        return note

    def add_to(self, app: FastAPI) -> None:
        """Makes routes of an app of them."""
        for route in self.routes:
            lead = (route.handle.__doc__ or "").partition("\n")[0]
            more = dict(route.more)
            answers: Answers = more.pop("responses", {})
            app.add_api_route(
                route.path,
                route.handle,
                methods=[route.method],
                status_code=route.status,
                tags=[self.tag],
                summary=lead.removesuffix("."),
                operation_id=route.handle.__name__,
                responses=ERRORS | (WAITS if route.act is not None else {}) | answers,
                openapi_extra=_extra(route.permission, route.act),
                **more,
            )


def _extra(permission: Permission, act: Act | None) -> dict[str, Any]:
    """What the schema says beyond FastAPI's own: the permission, and how to show a login."""
    needs: list[dict[str, list[str]]] = [] if permission is Permission.ANYONE else [{"session": []}, {"cookie": []}]
    extra: dict[str, Any] = {EXTENSION: permission.value, "security": needs}
    if act is not None:
        extra[TWO_PERSON] = act.value
    return extra
