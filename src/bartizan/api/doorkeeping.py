"""Before and after every request: how many of one address, and the headers that browsers go by."""

from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bartizan.api.problems import problem

ADDRESSES_MAX: Final = 4_096
"""Beyond it, the address longest quiet is forgotten, and begins anew."""

HEADERS: Final = {
    # Nothing here is a page: nothing may be loaded, framed, guessed at or kept.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""Strict-Transport-Security is not among them: it would hold for every port of `localhost`."""


class Headers:
    """Adds them to every answer, also to that of an error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


class Rate:
    """So many requests of one address per second; as many again at once."""

    def __init__(self, app: ASGIApp, per_s: int, clock: Callable[[], float] = monotonic) -> None:
        self._app = app
        self._per_s = per_s
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        client = scope.get("client")
        if scope["type"] != "http" or client is None or self._may(client[0]):
            await self._app(scope, receive, send)
            return
        answer = problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too-many-requests",
            f"one address has {self._per_s} requests per second",
            headers={"retry-after": "1"},
        )
        await answer(scope, receive, send)

    def _may(self, address: str) -> bool:
        now = self._clock()
        left, at = self._left.pop(address, (2.0 * self._per_s, now))
        left = min(2.0 * self._per_s, left + (now - at) * self._per_s)
        self._left[address] = (max(0.0, left - 1.0), now)
        if len(self._left) > ADDRESSES_MAX:
            self._left.popitem(last=False)
        return left >= 1.0
