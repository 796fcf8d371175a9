"""The broker under test, and the connections a test opens to it.

`BARTIZAN_CONFORMANCE_TARGET=host:port` names any broker that is already running and accepts
anonymous clients, `BARTIZAN_CONFORMANCE_WEBSOCKET=host:port` its WebSocket listener. Otherwise
Bartizan's open lab is started on free loopback ports, with a WebSocket listener and a `tight` one
whose limits a test can reach.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.ports import free_ports
from tests.conformance.packets import Dialect, Will, v5
from tests.conformance.properties import Props
from tests.conformance.received import Connack
from tests.conformance.websocket import WebSocket
from tests.conformance.wire import Stream, Wire, tcp

ROOT = Path(__file__).parents[2]
TARGET = "BARTIZAN_CONFORMANCE_TARGET"
WEBSOCKET = "BARTIZAN_CONFORMANCE_WEBSOCKET"
START_WITHIN_S = 60.0
# One more listener of the open lab, as a value of `--set listeners.NAME=...`.
LISTENER = (
    '{{ bind = "127.0.0.1:{port}", loopback_only = true, mqtt_versions = ["3.1.1", "5.0"], '
    'danger_plaintext = "conformance on loopback", danger_anonymous = "conformance on loopback", '
    'danger_ignore_credentials = "conformance on loopback", {more} }}'
)
# What the `tight` listener grants, so that a test can ask for more.
TIGHT = {
    "receive_max": 2,
    "topic_alias_max": 2,
    "packet_bytes_max": 1024,
    "property_bytes_max": 1024,
    "keep_alive_max_s": 2,
    "session_expiry_max_s": 2,
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a broker listens; `strict` when it is the one these tests belong to."""

    host: str
    port: int
    strict: bool
    websocket: tuple[str, int] | None = None
    tight: int | None = None


class Lab:
    """One test's view of the broker: names nobody else uses, connections closed at its end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._unique = secrets.token_hex(4)
        self._wires: list[Wire] = []
        self._websockets: list[WebSocket] = []

    def name(self, suffix: str = "") -> str:
        """A Client Identifier or topic level of this test alone (at most 23 letters and digits)."""
        return f"t{self._unique}{suffix}"

    def topic(self, suffix: str = "") -> str:
        """A Topic Name under this test's own first level."""
        return f"{self.name()}/{suffix}" if suffix else self.name()

    def dial(self, dialect: Dialect = v5) -> Wire:
        """A Network Connection on which nothing has been said."""
        return self._dial(tcp(self.target.host, self.target.port), dialect)

    def dial_tight(self, dialect: Dialect = v5) -> Wire:
        """The same on the listener whose limits are those of `TIGHT`."""
        if self.target.tight is None:
            pytest.skip("needs a listener of Bartizan's open lab")
        return self._dial(tcp(self.target.host, self.target.tight), dialect)

    def upgrade(self, path: str = "/mqtt", *, offers: str | None = "mqtt", origin: str | None = None) -> WebSocket:
        """A WebSocket, whatever the broker answered to the request."""
        if self.target.websocket is None:
            pytest.skip(f"{WEBSOCKET} names no listener")
        websocket = WebSocket(*self.target.websocket, path, offers=offers, origin=origin)
        self._websockets.append(websocket)
        return websocket

    def over(self, websocket: WebSocket, dialect: Dialect = v5) -> Wire:
        """MQTT over an open WebSocket."""
        return self._dial(websocket, dialect)

    def client(
        self,
        suffix: str = "a",
        *,
        dialect: Dialect = v5,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        props: Props = None,
    ) -> Wire:
        """A connection whose CONNECT, as `name(suffix)`, has been accepted."""
        wire = self.dial(dialect)
        name = self.name(suffix)
        wire.send(dialect.connect(name, clean=clean, keep_alive=keep_alive, will=will, props=props))
        wire.expect(Connack, reason=0)
        return wire

    def close(self) -> None:
        for wire in self._wires:
            wire.drop()
        for websocket in self._websockets:
            websocket.close()

    def _dial(self, stream: Stream, dialect: Dialect) -> Wire:
        wire = Wire(stream, dialect=dialect, strict=self.target.strict)
        self._wires.append(wire)
        return wire


@contextmanager
def target(directory: Path) -> Generator[Target]:
    """The broker all tests share."""
    named = os.environ.get(TARGET)
    if named:
        host, _, port = named.rpartition(":")
        yield Target(host=host, port=int(port), strict=False, websocket=_address(os.environ.get(WEBSOCKET)))
        return
    with running(directory) as ours:
        yield ours


@contextmanager
def running(directory: Path, *settings: str) -> Generator[Target]:
    """Bartizan's open lab with these `key=value` settings, from start to SIGTERM."""
    port, websocket, tight = free_ports(3)
    limits = ", ".join(f"{name} = {value}" for name, value in TIGHT.items())
    command = [
        _executable(),
        "up",
        *("--config", str(ROOT / "examples/open-lab/bartizan.toml")),
        *("--data", str(directory)),
        *("--set", f"listeners.mqtt.bind=127.0.0.1:{port}"),
        *("--set", "api.bind=off"),
        *("--set", "broker.sys_interval_s=1"),
        *("--set", "listeners.mqtt.denied_publish_v311=close"),  # the default, as everywhere but in the lab
        *("--set", "listeners.ws=" + LISTENER.format(port=websocket, more='protocol = "websocket"')),
        *("--set", "listeners.tight=" + LISTENER.format(port=tight, more=f"limits = {{ {limits} }}")),
        *(part for setting in settings for part in ("--set", setting)),
    ]
    log = directory.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _await(port, process, log)
            yield Target(host="127.0.0.1", port=port, strict=True, websocket=("127.0.0.1", websocket), tight=tight)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _executable() -> str:
    places = (Path(sys.executable).with_name("bartizan"), ROOT / ".venv/bin/bartizan")
    for place in places:
        if place.exists():
            return str(place)
    raise RuntimeError(f"no broker to test: run `make build`, or set {TARGET}=host:port")


def _address(text: str | None) -> tuple[str, int] | None:
    host, _, port = (text or "").rpartition(":")
    return (host, int(port)) if port else None


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the broker did not start:\n{log.read_text(errors='replace')}")
