"""Starts programs pinned to a core, finds what they started, and stops all of it by process id.

Nothing outlives a run: a program is asked to end, then killed, with everything that descends from it;
and should this process itself be killed, the kernel ends what it started.
"""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 15.0
POLL_S = 0.05
LAST_LINES = 4
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COMPLAINT = re.compile(r"\b(err|error|wrn|warn|warning|fatal|panic\w*)\b", re.IGNORECASE)
"""How brokers mark what went wrong."""
COMPLAINT_CHARS_MAX = 300
CHECKOUT = Path(__file__).parents[1]
GOODBYE = b"all is stopped\n"
"""What the watcher is told when there is nothing left to end."""
MQTT_LEVEL = {"3.1.1": 4, "5": 5}


class StartError(Exception):
    """A broker did not come up, or went away; the text says what it said last."""


@dataclass(frozen=True, slots=True)
class Door:
    """How a client gets in."""

    port: int
    mqtt: str = "3.1.1"
    ca_file: Path | None = None
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Door({self.port}, {self.mqtt})"


@dataclass(frozen=True, slots=True)
class Cores:
    """The broker's processor and the generator's."""

    broker: int
    generator: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first two that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise StartError("broker and generator need a core each: this process may use only one")
        return cls(broker=usable[1], generator=usable[0])


class Running:
    """A program and everything that it started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._known = {process.pid}

    def pids(self) -> list[int]:
        """Its process and all descendants; what once belonged to it stays in the list while it lives."""
        table = process_table()
        family = {pid for pid in self._known if pid in table}
        grown = True
        while grown:
            more = {pid for pid, one in table.items() if one.parent in family or one.session == self._process.pid}
            grown = not more <= family
            family |= more
        self._known |= family
        return sorted(pid for pid in family if not table[pid].is_zombie)

    def is_alive(self) -> bool:
        """Whether the program itself still runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of what it printed."""
        return " | ".join(self._lines()[-LAST_LINES:]) or "it said nothing"

    def complaint(self) -> str | None:
        """The last line that it printed about something wrong; it goes on printing while its clients leave."""
        found = [line for line in self._lines() if COMPLAINT.search(line)]
        return found[-1][:COMPLAINT_CHARS_MAX] if found else None

    def _lines(self) -> list[str]:
        # Its files are below the checkout, and where that is says nothing.
        text = COLOUR.sub("", self._log.read_text("utf-8", "replace")).replace(f"{CHECKOUT}/", "")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def stop(self) -> None:
        """Ends all of it and waits until it is gone."""
        self.pids()
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN_S)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            deadline = time.monotonic() + STOP_WITHIN_S
            while self.pids() and time.monotonic() < deadline:
                self._process.poll()
                time.sleep(POLL_S)
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the system's process table."""

    parent: int
    session: int
    is_zombie: bool


def process_table() -> dict[int, Listed]:
    """Every process now."""
    table: dict[int, Listed] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name, in parentheses, may hold anything: what follows the last one is regular.
                words = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                table[int(entry.name)] = Listed(int(words[1]), int(words[3]), words[0] in {"Z", "X"})
    return table


def pinned(core: int, argv: Sequence[str]) -> list[str]:
    """The command on one core, killed by the kernel when its parent dies."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(core), *argv]


@contextmanager
def running(
    argv: Sequence[str], *, core: int, directory: Path, environment: Mapping[str, str] | None = None
) -> Generator[Running]:
    """The program, from its start to its end; it writes to `output.log` in its directory."""
    log = directory / "output.log"
    with watched() as watcher, log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  our own words
            pinned(core, argv),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        one = Running(process, log)
        try:
            watcher.write(b"%d\n" % process.pid)
            yield one
        finally:
            one.stop()


@contextmanager
def watched() -> Generator[IO[bytes]]:
    """Takes the number of a session, which then does not outlive this process, whatever ends it: see watch.py."""
    argv = [sys.executable, "-m", "bench.watch"]
    with subprocess.Popen(  # noqa: S603
        argv, cwd=CHECKOUT, stdin=subprocess.PIPE, bufsize=0, start_new_session=True
    ) as watcher:
        if watcher.stdin is None:
            raise StartError("the watcher has no standard input")
        try:
            yield watcher.stdin
        finally:
            with suppress(BrokenPipeError):
                watcher.stdin.write(GOODBYE)


def wait_ready(one: Running, door: Door) -> None:
    """Returns once a CONNECT is accepted; `StartError` says why it never was."""
    deadline = time.monotonic() + READY_WITHIN_S
    refused = "nothing listens"
    while time.monotonic() < deadline:
        if not one.is_alive():
            raise StartError(f"it ended at once: {one.last_words()}")
        try:
            greet(door)
        except OSError as error:
            refused = str(error)
            time.sleep(POLL_S)
        else:
            return
    raise StartError(f"not ready within {READY_WITHIN_S:.0f} s ({refused}): {one.last_words()}")


def greet(door: Door) -> None:
    """Connects as a client and leaves; an `OSError` if it is not let in."""
    with socket.create_connection((HOST, door.port), timeout=5.0) as plain:
        stream = plain
        if door.ca_file is not None:
            context = ssl.create_default_context(cafile=str(door.ca_file))
            stream = context.wrap_socket(plain, server_hostname="localhost")
        with stream:
            stream.sendall(connect_packet(door))
            answer = b""
            while len(answer) < 4:
                more = stream.recv(64)
                if not more:
                    raise ConnectionError("closed without CONNACK")
                answer += more
            # Type, length, acknowledge flags, reason: the same places in both versions.
            if answer[0] != 0x20 or answer[3] != 0:
                raise ConnectionError(f"CONNECT was answered with {answer.hex()}")
            stream.sendall(b"\xe0\x00")


def connect_packet(door: Door, client_id: str = "bench-ready") -> bytes:
    """CONNECT with a clean Session, by default with a name that no load generator uses."""
    flags = 0x02
    payload = _text(client_id)
    if door.user is not None and door.password is not None:
        flags |= 0xC0
        payload += _text(door.user) + _text(door.password)
    level = MQTT_LEVEL[door.mqtt]
    properties = b"\x00" if door.mqtt == "5" else b""
    body = _text("MQTT") + bytes([level, flags]) + (60).to_bytes(2) + properties + payload
    length = len(body)
    head = bytes([length]) if length < 0x80 else bytes([length & 0x7F | 0x80, length >> 7])
    return b"\x10" + head + body


def _text(value: str) -> bytes:
    octets = value.encode()
    return len(octets).to_bytes(2) + octets
