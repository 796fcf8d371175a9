"""The broker under test, and the connections a test opens to it.

`BARTIZAN_CONFORMANCE_TARGET=host:port` names any broker that is already running and accepts
anonymous clients. Otherwise Bartizan's open lab is started on a free loopback port.
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

from tests.conformance.packets import Dialect, Will, v5
from tests.conformance.properties import Props
from tests.conformance.received import Connack
from tests.conformance.wire import Wire

ROOT = Path(__file__).parents[2]
TARGET = "BARTIZAN_CONFORMANCE_TARGET"
START_WITHIN_S = 15.0


@dataclass(frozen=True)
class Target:
    """Where a broker listens; `strict` when it is the one these tests belong to."""

    host: str
    port: int
    strict: bool


class Lab:
    """One test's view of the broker: names nobody else uses, connections closed at its end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._unique = secrets.token_hex(4)
        self._wires: list[Wire] = []

    def name(self, suffix: str = "") -> str:
        """A Client Identifier or topic level of this test alone (at most 23 letters and digits)."""
        return f"t{self._unique}{suffix}"

    def topic(self, suffix: str = "") -> str:
        """A Topic Name under this test's own first level."""
        return f"{self.name()}/{suffix}" if suffix else self.name()

    def dial(self, dialect: Dialect = v5) -> Wire:
        """A Network Connection on which nothing has been said."""
        target = self.target
        wire = Wire(target.host, target.port, dialect=dialect, strict=target.strict)
        self._wires.append(wire)
        return wire

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


@contextmanager
def target(directory: Path) -> Generator[Target]:
    """The broker all tests share."""
    named = os.environ.get(TARGET)
    if named:
        host, _, port = named.rpartition(":")
        yield Target(host, int(port), strict=False)
        return
    with running(directory) as ours:
        yield ours


@contextmanager
def running(directory: Path, *settings: str) -> Generator[Target]:
    """Bartizan's open lab with these `key=value` settings, from start to SIGTERM."""
    port = _free_port()
    command = [
        _executable(),
        "up",
        *("--config", str(ROOT / "examples/open-lab/bartizan.toml")),
        *("--data", str(directory)),
        *("--set", f"listeners.mqtt.bind=127.0.0.1:{port}"),
        *(part for setting in settings for part in ("--set", setting)),
    ]
    log = directory.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _await(port, process, log)
            yield Target("127.0.0.1", port, strict=True)
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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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
