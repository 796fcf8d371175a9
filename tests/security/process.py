"""`bartizan up` in a process of its own: to be killed, starved of disk, or measured."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from bartizan.cli import main; main()"]
START_WITHIN_S = 60.0
SCRAPE_WITHIN_S = 10.0
LOOPBACK = ("listeners.mqtts.bind=127.0.0.1:0", "listeners.wss.bind=127.0.0.1:0", "api.bind=127.0.0.1:0")


@dataclass
class Process:
    """A broker that listens."""

    process: subprocess.Popen[str]
    data: Path
    summary: dict[str, Any]
    log_file: Path

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def port(self, listener: str) -> int:
        """Where a listener listens."""
        status = json.loads(self.get("/v1/status"))
        bound = {item["name"]: item["address"] for item in status["listeners"]}
        return int(bound[listener].rpartition(":")[2])

    def get(self, path: str) -> str:
        """What the control socket answers."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(SCRAPE_WITHIN_S)
            control.connect(str(self.data / "control.sock"))
            control.sendall(f"GET {path} HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := control.recv(65_536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        return body.decode()

    def log(self) -> str:
        """What it wrote to standard error."""
        return self.log_file.read_text(encoding="utf-8")

    def events(self, kind: str, /, **fields: object) -> list[dict[str, Any]]:
        """Events of one kind with these fields."""
        events = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [
            event
            for event in events
            if event["event"] == kind and all(event.get(key) == value for key, value in fields.items())
        ]

    def wait_for(self, kind: str, /, *, within_s: float = 5.0, **fields: object) -> dict[str, Any]:
        """The first such event."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            if found := self.events(kind, **fields):
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no {kind} with {fields} in:\n{self.log()}")

    def resident_bytes(self) -> int:
        """Memory that it holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def end(self, by: signal.Signals = signal.SIGTERM, within_s: float = 20.0) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(by)
        return self.process.wait(within_s)


@contextmanager
def running(
    data: Path, *settings: str, words: tuple[str, ...] = (), binds: tuple[str, ...] = LOOPBACK
) -> Iterator[Process]:
    """Starts it and waits until it listens; whatever is left of it is killed at the end."""
    log_file = data.parent / f"{data.name}-{time.monotonic_ns()}.log"
    told = (*binds, "log.format=json", *settings)
    command = [*COMMAND, "up", "--json", "--data", str(data), *words]
    command += [part for setting in told for part in ("--set", setting)]
    with log_file.open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_WITHIN_S) else ""
        assert line, log_file.read_text(encoding="utf-8")
        yield Process(process, data, json.loads(line), log_file)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
