"""What operators ask for as spans of OTLP: what, how long it took, what became of it. Pure but for the caller's clock.

A request that names its place in a trace (`traceparent`, W3C Trace Context) is put there. Neither bodies nor queries
are told, and nothing of a request that found no route or no login: strangers make no spans.
"""

import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import time_ns
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bartizan.audit.posting import otlp_attribute

SPANS_MAX: Final = 4_096
"""Spans that wait to be sent; beyond it the oldest are forgotten."""

SERVER: Final = 2
"""SPAN_KIND_SERVER."""

_ERROR: Final = {"code": 2}
"""STATUS_CODE_ERROR."""

_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z")
_UNASKED: Final = re.compile(r"/(metrics|health)(/|\Z)|/api/v1/(metrics|health)\Z")
"""What monitoring reads every few seconds."""

_STRANGERS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class Spans:
    """The spans that wait to be sent."""

    def __init__(self, clock: Callable[[], int] = time_ns) -> None:
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque(maxlen=SPANS_MAX)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The same app, of whose requests there are spans."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or _UNASKED.match(scope["path"]):
                await app(scope, receive, send)
                return
            status, began_ns = HTTPStatus.INTERNAL_SERVER_ERROR.value, self._clock()

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noted)
            finally:
                if status not in _STRANGERS:
                    self._waiting.append(_span(scope, status, began_ns, self._clock()))

        return traced

    def take(self) -> list[dict[str, Any]]:
        """All that wait."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


def request(spans: list[dict[str, Any]], resource: Mapping[str, str]) -> dict[str, Any]:
    """An ExportTraceServiceRequest."""
    about = {"attributes": [otlp_attribute(key, value) for key, value in resource.items()]}
    return {"resourceSpans": [{"resource": about, "scopeSpans": [{"scope": {"name": "bartizan"}, "spans": spans}]}]}


def _span(scope: Scope, status: int, began_ns: int, ended_ns: int) -> dict[str, Any]:
    method, path = scope["method"], scope["path"]
    parent = _PARENT.match(_header(scope, b"traceparent"))
    attributes = {
        "http.request.method": method,
        "url.path": path,
        "http.response.status_code": status,
        "bartizan.door": "api" if path.startswith("/api/") else "control",
    }
    return {
        "traceId": parent[1] if parent else secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        **({"parentSpanId": parent[2]} if parent else {}),
        "name": f"{method} {_resource(path)}",
        "kind": SERVER,
        "startTimeUnixNano": str(began_ns),
        "endTimeUnixNano": str(ended_ns),
        "attributes": [otlp_attribute(key, value) for key, value in attributes.items()],
        "status": _ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else {},
    }


def _resource(path: str) -> str:
    """`/api/v1/identities/press-01` and `/v1/clients/press-01/disconnect` by what they are about alone."""
    words = path.split("/")
    return "/".join(words[: words.index("v1") + 2]) if "v1" in words else path


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
