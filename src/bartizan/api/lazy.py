"""The app below `/api/v1`, made at its first request: what the API is built with takes a second to load.

A broker that nobody manages by the API starts as fast as one without, and does without its memory.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/api/v1"


class Below:
    """What lies below `/api/v1` is one app's, whatever characters it is of; the rest, another's or nobody's."""

    def __init__(self, app: ASGIApp, others: ASGIApp | None = None) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["path"].startswith(f"{PREFIX}/"):
            await self._app(dict(scope) | {"root_path": scope.get("root_path", "") + PREFIX}, receive, send)
        elif self._others is not None:
            await self._others(scope, receive, send)
        else:
            told = {"type": "urn:bartizan:problem:not-found", "title": "Not Found", "status": HTTPStatus.NOT_FOUND}
            answer = JSONResponse(told, HTTPStatus.NOT_FOUND, media_type="application/problem+json")
            await answer(scope, receive, send)


class Lazy:
    """Makes the app in a thread, once, while clients of the broker are served on."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        async with self._turn:
            app = self._app = self._app or await asyncio.to_thread(self._make)
        await app(scope, receive, send)
