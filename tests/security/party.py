"""A broker watched from outside: its log as events, and connections in exact bytes over TLS or plaintext."""

import io
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bartizan.api.metrics import exposition
from bartizan.testing import Broker, Bundle
from tests.conformance.packets import Dialect, v5
from tests.conformance.received import Connack
from tests.conformance.wire import Wire

S = TypeVar("S", bound=socket.socket)

HOST = "127.0.0.1"
SUCCESS, GRANTED_QOS_1 = 0x00, 0x01
NOT_AUTHORIZED = 0x87
NOT_AUTHORIZED_V311 = 0x05
QUOTA_EXCEEDED = 0x97
PACKET_TOO_LARGE = 0x95

OPEN = '[roles.anonymous]\npermit = [{ action = "all", filter = "#" }]\n'
"""A policy for listeners whose subject is not who may do what."""

PLANT = """
[topics."data/{asset}/temperature"]
publish   = ["press"]
subscribe = ["dashboard"]

[topics."data/{asset}/status"]
publish   = ["press"]
subscribe = ["dashboard", "press"]

[topics."commands/{asset}"]
publish   = ["dashboard"]
subscribe = ["press"]
retain    = false

[roles.press]
binds = { asset = "client_id" }

[roles.dashboard]

[roles.monitor]
permit = [{ action = "subscribe", filter = "$SYS/#" }]

[roles.auditor]
permit = [{ action = "subscribe", filter = "data/#" }]
forbid = [{ action = "subscribe", filter = "data/secret/#", reason = "not for auditors" }]

[roles.historian]
permit = [{ action = "all", filter = "archive/#" }]
"""
"""Presses publish below their own name, dashboards read all of them."""


@dataclass
class Party:
    """One broker, its log, and whoever a test lets connect."""

    broker: Broker
    _log: io.StringIO
    _stack: ExitStack
    names: dict[str, Bundle] = field(default_factory=dict)

    def enrol(self, name: str, role: str | Sequence[str] = (), *, password: bool = False, **attributes: str) -> Bundle:
        """An identity that may connect."""
        self.names[name] = self.broker.enrol(name, role, password=password, **attributes)
        return self.names[name]

    def events(self, kind: str | None = None, /, **fields: object) -> list[dict[str, Any]]:
        """What was logged so far, of one kind, with these fields."""
        lines = self._log.getvalue().splitlines()
        events = [json.loads(line) for line in lines]
        return [
            event
            for event in events
            if (kind is None or event["event"] == kind)
            and all(event.get(key) == value for key, value in fields.items())
        ]

    def text(self) -> str:
        """The log as written."""
        return self._log.getvalue()

    def wait_for(self, kind: str, /, *, within_s: float = 20.0, **fields: object) -> dict[str, Any]:
        """The first such event, as soon as it is there."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            if found := self.events(kind, **fields):
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"no {kind} with {fields} in:\n{self.text()}")

    def metrics(self) -> str:
        """What `/metrics` says."""
        return exposition(self.broker._running.broker, "")[0].decode()

    def limit_count(self, limit: str) -> float:
        """How often a limit was met, as `/metrics` says."""
        return _sample(self.metrics(), f'bartizan_limits_met_total{{limit="{limit}"}}')

    def number(self, name: str) -> float:
        """One metric without labels."""
        return _sample(self.metrics(), name)

    def port(self, listener: str = "mqtt") -> int:
        """Where a listener listens."""
        bound = {item.name: item.address for item in self.broker._running.broker.engine.listeners()}
        return int(bound[listener].rpartition(":")[2])

    def dial(
        self, bundle: Bundle | None = None, *, listener: str = "mqtt", dialect: Dialect = v5, tls: bool = True
    ) -> Wire:
        """A connection on which nothing of MQTT has been said."""
        stream = tls_stream(self, bundle, listener=listener) if tls else self.keep(self.socket(listener))
        return Wire(stream, dialect=dialect)

    def socket(self, listener: str = "mqtt") -> socket.socket:
        """A TCP connection."""
        return plain(self.port(listener))

    def keep(self, stream: S) -> S:
        """Closes it when the broker ends."""
        self._stack.callback(stream.close)
        return stream

    def connect(
        self,
        name: str,
        *,
        client_id: str | None = None,
        dialect: Dialect = v5,
        listener: str = "mqtt",
        expect: int = SUCCESS,
        **more: Any,
    ) -> Wire:
        """An enrolled identity's connection, by certificate or password, answered with `expect`."""
        bundle = self.names[name]
        wire = self.dial(bundle, listener=listener, dialect=dialect)
        if bundle.password is not None:
            more = {"username": bundle.user_name, "password": bundle.password.encode(), **more}
        wire.send(dialect.connect(name if client_id is None else client_id, **more))
        wire.expect(Connack, reason=expect, within_s=5)
        return wire


def _sample(text: str, name: str) -> float:
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name} in\n{text}")


@contextmanager
def party(policy: str = PLANT, *settings: str, **more: Any) -> Iterator[Party]:
    """A broker with its log as JSON, of every severity."""
    log = io.StringIO()
    with ExitStack() as stack:
        with redirect_stderr(log):
            told = ("log.format=json", "log.level=info")
            broker = stack.enter_context(Broker(policy, settings=(*told, *settings), **more))
        wires = stack.enter_context(ExitStack())
        yield Party(broker, log, wires)


def plain(port: int) -> socket.socket:
    """A TCP connection."""
    stream = socket.create_connection((HOST, port), timeout=5)
    # What follows the last packet of a TLS handshake would wait 40 ms for its acknowledgement.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def tls_context(ca_file: str, bundle: Bundle | None = None) -> ssl.SSLContext:
    """What a client of this bundle uses."""
    context = ssl.create_default_context(cafile=ca_file)
    if bundle is not None and bundle.certificate_file is not None:
        context.load_cert_chain(bundle.certificate_file, bundle.key_file)
    return context


def tls_stream(
    to: Party,
    bundle: Bundle | None = None,
    *,
    listener: str = "mqtt",
    context: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """A TLS connection."""
    context = context or tls_context(to.broker.ca_file, bundle)
    with to.socket(listener) as raw:  # wrapping takes the socket over; a handshake that fails leaves it
        stream = context.wrap_socket(raw, server_hostname=HOST, session=session)
    return to.keep(stream)


def listener(name: str, *, limits: Mapping[str, object] | None = None, **more: str) -> str:
    """`--set` of a plaintext listener for anonymous clients on a port the system chooses."""
    bounds = ", ".join(f"{key} = {value}" for key, value in (limits or {}).items())
    extra = "".join(f', {key} = "{value}"' for key, value in more.items())
    return (
        f'listeners.{name}={{ bind = "127.0.0.1:0", loopback_only = true, danger_plaintext = "test on loopback", '
        f'danger_anonymous = "test on loopback"{extra}, limits = {{ {bounds} }} }}'
    )


def eventually(holds: Any, *, within_s: float = 20.0) -> None:
    """Waits until `holds()` is true."""
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.02)
