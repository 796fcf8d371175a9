"""How a route is written down: method, path and permission beside the function. `rest` makes an app of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI

from bartizan.api.guard import EXTENSION
from bartizan.api.permissions import Permission
from bartizan.api.problems import MEDIA_TYPE, Problem

F = TypeVar("F", bound=Callable[..., Any])

ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong (RFC 9457)",
        "model": Problem,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    path: str
    permission: Permission
    handle: Callable[..., Any]
    status: int
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
        **more: Any,  # noqa: ANN401
    ) -> Callable[[F], F]:
        """Decorates what handles such requests; `more` is as FastAPI takes it."""

        def note(handle: F) -> F:
            self.routes.append(Route(method, path, permission, handle, status, more))
            return handle

        return note

    def add_to(self, app: FastAPI) -> None:
        """Makes routes of an app of them."""
        for route in self.routes:
            lead = (route.handle.__doc__ or "").partition("\n")[0]
            app.add_api_route(
                route.path,
                route.handle,
                methods=[route.method],
                status_code=route.status,
                tags=[self.tag],
                summary=lead.removesuffix("."),
                operation_id=route.handle.__name__,
                responses=ERRORS,
                openapi_extra=_extra(route.permission),
                **route.more,
            )


def _extra(permission: Permission) -> dict[str, Any]:
    """What the schema says beyond FastAPI's own: the permission, and how to show a login."""
    needs: list[dict[str, list[str]]] = [] if permission is Permission.ANYONE else [{"session": []}, {"cookie": []}]
    return {EXTENSION: permission.value, "security": needs}
