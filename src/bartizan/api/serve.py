"""Serves the routes inside the broker's own event loop."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from bartizan.api.app import control, monitoring
from bartizan.api.socket import BACKLOG, FILE, bind_private
from bartizan.broker.addresses import bound_socket
from bartizan.broker.app import Broker
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError

CONNECTIONS_MAX = 64
KEEP_ALIVE_S = 5
GOODBYE_S = 1


class ControlServer:
    """The control socket while the broker runs, and monitoring on `public` if there is one."""

    def __init__(self, broker: Broker, public: socket.socket | None = None) -> None:
        self._broker = broker
        self._public = public
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        root = self._broker.data.root
        async with AsyncExitStack() as stack:
            listening = bind_private(root)
            stack.callback((root / FILE).unlink, missing_ok=True)
            await stack.enter_async_context(_Serving(control(self._broker), listening))
            if self._public is not None:
                await stack.enter_async_context(_Serving(monitoring(self._broker), self._public))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


class _Embedded(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextmanager
    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One application on one socket."""

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        self._listening = listening
        self._server = _Embedded(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GOODBYE_S,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listening]))
        # The socket listens already, so a request that comes before the server has begun waits for it.
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._listening.close()


def bind_monitoring(settings: Settings) -> socket.socket | None:
    """The socket of `[http] bind`, or None without one. Bound before a broker starts: a port in use stops it."""
    bind = settings.http.bind
    if bind is None:
        return None
    try:
        listening = bound_socket(bind)
        if listening is not None:
            listening.listen(BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"metrics and health cannot listen: {os.strerror(error.errno or 0)}",
            f"http.bind = {bind}",
            "stop the other process, or choose another address: --set http.bind=ADDRESS:PORT",
        ) from None
    if listening is None:
        raise ConfigurationError(
            "monitoring needs an address and a port", "http.bind", "control.sock serves it as well"
        )
    return listening


def address_of(listening: socket.socket) -> str:
    """Where a socket listens, with the port the system chose."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
