"""Serves the routes inside the broker's own event loop: the control socket, monitoring, the API."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bartizan.api.app import control, monitoring
from bartizan.api.asking import SOCKET_USER, OwnersOnly
from bartizan.api.lazy import Below, Lazy
from bartizan.api.metrics_sent import metrics_sent, spans_sent
from bartizan.api.refusals import Refusals
from bartizan.api.socket import BACKLOG, FILE, bind_private
from bartizan.api.spans import Spans
from bartizan.api.tls import Certificate
from bartizan.broker.addresses import bound_socket
from bartizan.broker.app import Broker
from bartizan.config.api import ApiSettings
from bartizan.config.files import read_secret_octets
from bartizan.config.schema import Settings
from bartizan.errors import CertificateUnusable, ConfigurationError

if TYPE_CHECKING:
    from bartizan.api.house import House

CONNECTIONS_MAX = 64
KEEP_ALIVE_S = 5
GOODBYE_S = 1
CERTIFICATE_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Doors:
    """The sockets beside the control socket, bound and listening; None: not served."""

    monitoring: socket.socket | None = None
    api: socket.socket | None = None


class ControlServer:
    """The control socket while the broker runs; monitoring and the API on `doors`, if these are there."""

    def __init__(self, broker: Broker, doors: Doors) -> None:
        self._broker = broker
        self._doors = doors
        self._stack = AsyncExitStack()
        self._house: House | None = None
        self._spans = None if broker.settings.traces is None else Spans()

    async def __aenter__(self) -> Self:
        root = self._broker.data.root
        async with AsyncExitStack() as stack:
            listening = bind_private(root)
            stack.callback((root / FILE).unlink, missing_ok=True)
            below = Below(Lazy(self._for_socket), control(self._broker))
            on_socket = self._traced(OwnersOnly(below, Refusals(self._broker.journal)))
            await stack.enter_async_context(_Serving(on_socket, listening))
            if self._doors.monitoring is not None:
                await stack.enter_async_context(_Serving(monitoring(self._broker), self._doors.monitoring))
            if self._doors.api is not None:
                _check_files(self._broker.settings.api)
                certificate = Certificate(self._broker.settings.api, self._broker.data)
                on_port = self._traced(Below(Lazy(self._for_tls)))
                await stack.enter_async_context(_Serving(on_port, self._doors.api, certificate.context))
                renewing = asyncio.create_task(self._renew(certificate))
                stack.callback(renewing.cancel)
            await stack.enter_async_context(metrics_sent(self._broker))
            await stack.enter_async_context(spans_sent(self._broker, self._spans))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if self._house is not None:
            await self._house.oidc.aclose()

    def _traced(self, app: ASGIApp) -> ASGIApp:
        return app if self._spans is None else self._spans.around(app)

    # What the API is built with is loaded when somebody asks for it (`lazy`).

    def _for_socket(self) -> ASGIApp:
        from bartizan.api.rest import for_socket  # noqa: PLC0415

        return for_socket(self._one_house())

    def _for_tls(self) -> ASGIApp:
        from bartizan.api.rest import for_tls  # noqa: PLC0415

        return for_tls(self._one_house())

    def _one_house(self) -> "House":
        from bartizan.api.house import House  # noqa: PLC0415

        # One for both doors: an operator who is disabled at the socket is out at the port.
        self._house = self._house or House(self._broker)
        return self._house

    async def _renew(self, certificate: Certificate) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_INTERVAL_S)
            try:
                if await asyncio.to_thread(certificate.renew):
                    self._broker.journal.note("certificates_replaced", listener="api")
            except CertificateUnusable as error:
                self._broker.journal.note("certificates_refused", listener="api", reason=str(error))


class _Http(H11Protocol):
    """HTTP/1.1 that says, of a Unix socket, which user has opened it."""

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def connection_made(self, transport: asyncio.Transport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family == socket.AF_UNIX:
            told = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            process, user, _ = struct.unpack("3i", told)
            self.client = (f"{SOCKET_USER}{user}", process)


class _Embedded(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextmanager
    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One application on one socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._listening = listening
        self._server = _Embedded(
            uvicorn.Config(
                app,
                http=_Http,
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
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


def bind_doors(settings: Settings) -> Doors:
    """The sockets of `[http]` and `[api]`. Bound before a broker starts: a port in use stops it."""
    monitoring_at, api_at = settings.http.bind, settings.api.address
    on_http = None if monitoring_at is None else _bound(monitoring_at, "http", "metrics and health")
    try:
        return Doors(on_http, None if api_at is None else _bound(api_at, "api", "the API"))
    except ConfigurationError:
        if on_http is not None:
            on_http.close()
        raise


def _bound(bind: str, section: str, what: str) -> socket.socket:
    try:
        listening = bound_socket(bind)
        if listening is not None:
            listening.listen(BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"{what} cannot listen: {os.strerror(error.errno or 0)}",
            f"{section}.bind = {bind}",
            f"stop the other process, or choose another address: --set {section}.bind=ADDRESS:PORT",
        ) from None
    if listening is None:
        raise ConfigurationError(f"{what} needs an address and a port", f"{section}.bind", "control.sock serves it too")
    return listening


def address_of(listening: socket.socket) -> str:
    """Where a socket listens, with the port the system chose."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_files(settings: ApiSettings) -> None:
    """What is wrong with the files of the provider is told at the start, not at the first login."""
    if settings.oidc is not None:
        from bartizan.authn.fetch import trust  # noqa: PLC0415  loads an HTTP client

        read_secret_octets(settings.oidc.client_secret_file, "the client secret of [api.oidc]")
        trust(settings.oidc.ca_file)
