"""Brokers for the integration tests: throw-away ones in this process, and `bartizan up` in its own."""

import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bartizan.testing import Broker
from tests.integration.recorder import Place, Recorder

START_WITHIN_S = 60.0
COMMAND = [sys.executable, "-c", "from bartizan.cli import main; main()"]
API = ("--set", "api.bind=127.0.0.1:0")
"""The API of brokers that run at once: each has a port of its own."""

BINDS = ("--set", "listeners.mqtts.bind=127.0.0.1:0", "--set", "listeners.wss.bind=127.0.0.1:0", *API)


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker with the default policy."""
    with Broker() as running:
        yield running


@dataclass
class Up:
    """A `bartizan up` that listens."""

    process: subprocess.Popen[str]
    data: Path
    summary: dict[str, Any]
    log_file: Path

    def log(self) -> list[dict[str, Any]]:
        """The events logged so far."""
        return [json.loads(line) for line in self.log_file.read_text(encoding="utf-8").splitlines()]

    def wait_for(self, kind: str, within_s: float = 20.0, **fields: object) -> dict[str, Any]:
        """The first event of this kind with these fields."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            for event in self.log():
                if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                    return event
            time.sleep(0.02)
        raise AssertionError(f"no {kind} with {fields} in:\n{self.log_file.read_text(encoding='utf-8')}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(by)
        return self.process.wait(60)


def run(*words: str | Path, within_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Runs a verb to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=within_s, check=False, env=os.environ
    )


@contextmanager
def started() -> Iterator[Callable[..., Up]]:
    """Starts brokers with `bartizan up`; they end with the block."""
    processes: list[subprocess.Popen[str]] = []

    def start(directory: Path, *words: str | Path, data: Path | None = None, binds: Sequence[str] = BINDS) -> Up:
        data = data or directory / "data"
        log_file = directory / f"log-{len(processes)}"
        command = [*COMMAND, "up", "--json", "--data", data, *API, *binds, "--set", "log.format=json", *words]
        with log_file.open("w") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True)
        processes.append(process)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_WITHIN_S) else ""
        assert line, log_file.read_text(encoding="utf-8")
        return Up(process, data, json.loads(line), log_file)

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait(60)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `bartizan up --data ...` on ports the system chooses, as often as a test likes."""
    with started() as start:
        yield partial(start, tmp_path)


def port_of(place: dict[str, Any]) -> int:
    """The port of a listener in a summary."""
    return int(place["address"].rpartition(":")[2])


def place_of(up: Up) -> Place:
    """Where clients connect over TLS."""
    listener = next(one for one in up.summary["places"] if one["name"] == "mqtts")
    return Place(port_of(listener), ca_file=str(up.data / "pki" / "ca.crt"))


# ---- the open lab, and clients of it ------------------------------------------------------------------

LISTENER = (
    '{bind = "127.0.0.1:0", loopback_only = true, danger_plaintext = "interoperability on loopback", '
    'danger_anonymous = "interoperability on loopback", danger_ignore_credentials = "interoperability on loopback"'
)
TIGHT = "packet_bytes_max = 2048, property_bytes_max = 1024, receive_max = 3, topic_alias_max = 2, keep_alive_max_s = 5"


@pytest.fixture(scope="session")
def lab_places(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """The open lab, with a listener beside it whose limits are those of `TIGHT`."""
    directory = tmp_path_factory.mktemp("lab")
    config = root / "examples/open-lab/bartizan.toml"
    more = ("--config", config, "--set", f"listeners.tight={LISTENER}, limits = {{{TIGHT}}}}}")
    with started() as start:
        running = start(directory, *more, binds=("--set", "listeners.mqtt.bind=127.0.0.1:0"))
        yield {place["name"]: Place(port_of(place)) for place in running.summary["places"]}


@pytest.fixture(scope="session")
def lab(lab_places: dict[str, Place]) -> Place:
    """Where the open lab listens."""
    return lab_places["mqtt"]


@pytest.fixture
def name() -> str:
    """A name no other test uses, fit for a Client Identifier and a topic level."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def topic(name: str) -> str:
    """A Topic Name no other test uses."""
    return f"{name}/topic"


@pytest.fixture
def recorders() -> Iterator[Callable[..., Recorder]]:
    """Makes clients and closes them at the end."""
    made: list[Recorder] = []

    def make(*words: Any, **more: Any) -> Recorder:
        made.append(Recorder(*words, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def open_client(lab: Place, name: str, recorders: Callable[..., Recorder]) -> Callable[..., Recorder]:
    """Opens clients of the open lab under names of this test."""

    def open_one(suffix: str = "a", place: Place = lab, **more: Any) -> Recorder:
        return recorders(place, f"{name}-{suffix}", **more).open()

    return open_one


STRICT = """
[roles.anonymous]
permit = [{ action = "all", filter = "+/topic/#" }]
forbid = [{ action = "subscribe", filter = "forbidden/#" }, { action = "publish", filter = "+/topic/forbidden" }]
"""


@pytest.fixture(scope="session")
def strict_place() -> Iterator[Place]:
    """An open listener whose policy forbids something."""
    reason = "interoperability on loopback"
    with Broker(STRICT, danger_plaintext=reason, danger_anonymous=reason) as broker:
        yield Place(broker.port, broker.host)


@pytest.fixture
def strict_client(strict_place: Place, open_client: Callable[..., Recorder]) -> Callable[..., Recorder]:
    """Opens clients there."""
    return partial(open_client, place=strict_place)
