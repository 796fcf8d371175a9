"""Brokers for the integration tests: throw-away ones in this process, and `bartizan up` in its own."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bartizan.testing import Broker

START_WITHIN_S = 20.0
COMMAND = [sys.executable, "-c", "from bartizan.cli import main; main()"]
BINDS = ("--set", "listeners.mqtts.bind=127.0.0.1:0", "--set", "listeners.wss.bind=127.0.0.1:0")


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

    def wait_for(self, kind: str, within_s: float = 5.0, **fields: object) -> dict[str, Any]:
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
        return self.process.wait(15)


def run(*words: str | Path, within_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Runs a verb to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=within_s, check=False, env=os.environ
    )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `bartizan up --data ...` on ports the system chooses, as often as a test likes."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str | Path, data: Path = tmp_path / "data", binds: tuple[str, ...] = BINDS) -> Up:
        log_file = tmp_path / f"log-{len(started)}"
        command = [*COMMAND, "up", "--json", "--data", data, *binds, "--set", "log.format=json", *words]
        with log_file.open("w") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True)
        started.append(process)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_WITHIN_S) else ""
        assert line, log_file.read_text(encoding="utf-8")
        return Up(process, data, json.loads(line), log_file)

    yield start
    for process in started:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
