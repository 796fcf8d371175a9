"""A flood: bad CONNECTs, or PUBLISHes that are denied, as many a second as told. Says what the broker answered.

    python -m bench.flooding wrong_password --port 1883 --rate 20000 --seconds 10 --user press
    python -m bench.flooding denied_qos1 --port 1883 --rate 25000 --seconds 10 --user press --password-file FILE

One process, one thread: what it takes of a core is taken from nobody else's figures. Connections end with RST, so that none
of them holds a port afterwards, and come from as many loopback addresses as told.
"""

import argparse
import json
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
AT_ONCE: Final = 2_048
"""Connections at once. Who floods does not wait: where there are so many, the oldest are left without their answer."""

LEFT_TOGETHER: Final = 128
DESCRIPTORS_SPARE: Final = 100
PATIENCE_S: Final = 5.0
WINDOW: Final = 50
"""PUBLISHes of QoS 1 that wait for their PUBACK: below any broker's Receive Maximum."""

BATCH: Final = 250
"""PUBLISHes of QoS 0 that are written together."""

TOPICS: Final = 64
"""Topics that are tried in turn."""

RESET: Final = struct.pack("ii", 1, 0)


def text(value: str) -> bytes:
    """A string as MQTT writes it."""
    octets = value.encode()
    return len(octets).to_bytes(2) + octets


def packet(first: int, body: bytes) -> bytes:
    """A Control Packet."""
    head, length = bytearray([first]), len(body)
    while True:
        length, octet = divmod(length, 128)
        head.append(octet | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def connect(client_id: str, user: str, password: str, *, flags: int = 0xC2) -> bytes:
    """CONNECT of MQTT 5 with a clean start."""
    return packet(
        0x10, text("MQTT") + bytes([5, flags]) + b"\x00\x3c\x00" + text(client_id) + text(user) + text(password)
    )


def publish(topic: str, pid: int = 0) -> bytes:
    """PUBLISH, of QoS 1 where it has a Packet Identifier."""
    return packet(0x32 if pid else 0x30, text(topic) + (pid.to_bytes(2) if pid else b"") + b"\x00" + b"71.5")


def wrong_password(user: str) -> Iterator[bytes]:
    """Somebody who exists, by a password that is not theirs."""
    return (connect(f"flood-{number}", user, f"guess-{number}") for number in count())


def unknown(_user: str) -> Iterator[bytes]:
    """Nobody."""
    return (connect(f"flood-{number}", f"nobody-{number}", "guess") for number in count())


def malformed(user: str) -> Iterator[bytes]:
    """The reserved flag of CONNECT is set [MQTT-3.1.2-3]."""
    return (connect(f"flood-{number}", user, "guess", flags=0xC3) for number in count())


CONNECTS: Final[Mapping[str, Callable[[str], Iterator[bytes]]]] = {
    "wrong_password": wrong_password,
    "unknown": unknown,
    "malformed": malformed,
}
DENIALS: Final = ("denied_qos0", "denied_qos1")


@dataclass(slots=True)
class Pace:
    """So many a second, from now on."""

    rate: float
    seconds: float
    began: float = field(default_factory=time.monotonic)
    done: int = 0

    def due(self) -> int:
        """How many are due by now."""
        return int((time.monotonic() - self.began) * self.rate) - self.done

    def goes_on(self) -> bool:
        """Whether it is not over yet."""
        return time.monotonic() - self.began < self.seconds

    def turns(self, many: int) -> Iterator[None]:
        """Whenever so many are due, until it is over; they are done then."""
        while self.goes_on():
            if self.due() < many:
                time.sleep(0.001)
            else:
                yield
                self.done += many

    def end(self, *_: object) -> None:
        """It is over now: whoever started it has seen what was to be seen."""
        self.seconds = 0.0


class Crowd:
    """Connections that ask once, take the answer, and go."""

    def __init__(self, port: int, sources: int, packets: Iterator[bytes]) -> None:
        self._port = port
        self._sources = sources
        self._packets = packets
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, bytes]] = {}
        """The oldest first."""

        self._opened = 0
        self.answers: Counter[str] = Counter()

    def run(self, pace: Pace) -> None:
        """Until the time is over."""
        while pace.goes_on():
            due = min(LEFT_TOGETHER, pace.due())
            for descriptor in tuple(islice(self._open, max(0, len(self._open) + due - AT_ONCE))):
                self._end(descriptor, "left without an answer")
            for _ in range(due):
                self._begin()
                pace.done += 1
            for descriptor, event in self._poll.poll(0 if due > 0 else 0.001):
                self._go_on(descriptor, event)
        for descriptor in tuple(self._open):
            self._end(descriptor, "left without an answer")

    def _begin(self) -> None:
        one = socket.socket()
        one.setblocking(False)  # noqa: FBT003
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        number = self._opened % self._sources
        self._opened += 1
        try:
            one.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
            with suppress(BlockingIOError):
                one.connect((HOST, self._port))
        except OSError as error:
            one.close()
            self.answers[f"not connected: {error.strerror}"] += 1
            return
        self._open[one.fileno()] = (one, next(self._packets))
        self._poll.register(one, select.EPOLLOUT)

    def _go_on(self, descriptor: int, event: int) -> None:
        one, asked = self._open[descriptor]
        try:
            if event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
                one.send(asked)
                self._poll.modify(descriptor, select.EPOLLIN)
                return
            answer = one.recv(256)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(descriptor, f"reset: {error.strerror}")
            return
        if not answer:
            self._end(descriptor, "closed without a word")
        elif answer[0] == 0x20 and len(answer) > 3:
            self._end(descriptor, f"CONNACK {answer[3]:#04x}")
        else:
            self._end(descriptor, f"packet {answer[0]:#04x}")

    def _end(self, descriptor: int, how: str) -> None:
        self.answers[how] += 1
        self._open.pop(descriptor)[0].close()


def admitted(port: int, user: str, password: str, name: str) -> socket.socket:
    """A client that is let in."""
    one = socket.create_connection((HOST, port), PATIENCE_S)
    one.sendall(connect(name, user, password))
    answer = one.recv(4096)
    if answer[:1] != b"\x20" or answer[3] != 0:
        raise SystemExit(f"flooding: {user} is not let in: {answer[:8].hex()}")
    return one


def deny_qos0(one: socket.socket, pace: Pace, answers: Counter[str]) -> None:
    """PUBLISHes without an answer."""
    batch = b"".join(publish(f"forbidden/{number % TOPICS}") for number in range(BATCH))
    for _ in pace.turns(BATCH):
        one.sendall(batch)
    answers["sent"] += pace.done


def deny_qos1(one: socket.socket, pace: Pace, answers: Counter[str]) -> None:
    """PUBLISHes, each with its PUBACK."""
    batch = b"".join(publish(f"forbidden/{pid % TOPICS}", pid) for pid in range(1, WINDOW + 1))
    for _ in pace.turns(WINDOW):
        one.sendall(batch)
        for reason in pubacks(one, WINDOW):
            answers[f"PUBACK {reason:#04x}"] += 1


def pubacks(one: socket.socket, wanted: int) -> list[int]:
    """The Reason Codes of the next so many PUBACKs."""
    reasons: list[int] = []
    got = b""
    while len(reasons) < wanted:
        more = one.recv(65_536)
        if not more:
            raise SystemExit("flooding: the broker has ended the connection")
        got += more
        at = 0
        while len(got) - at >= 2 and len(got) - at >= 2 + got[at + 1]:
            if got[at] != 0x40:
                raise SystemExit(f"flooding: {got[at : at + 8].hex()} instead of PUBACK")
            reasons.append(got[at + 4] if got[at + 1] > 2 else 0)
            at += 2 + got[at + 1]
        got = got[at:]
    return reasons


def allow(descriptors: int) -> None:
    """Lets this process have so many files open, where the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, hard), hard))


def begun(rate: float, seconds: float) -> Pace:
    """A pace that SIGTERM ends."""
    pace = Pace(rate, seconds)
    signal.signal(signal.SIGTERM, pace.end)
    return pace


def main(words: Sequence[str] | None = None) -> int:
    """One flood, until its time is over or SIGTERM; one JSON line about it."""
    parser = argparse.ArgumentParser(prog="python -m bench.flooding", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=[*CONNECTS, *DENIALS])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--user", default="nobody")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--name", default="flood", help="Client Identifier of who is denied")
    parser.add_argument("--sources", type=int, default=1, help="loopback addresses that connections come from")
    asked = parser.parse_args(words)
    answers: Counter[str] = Counter()
    allow(AT_ONCE + DESCRIPTORS_SPARE)
    if asked.kind in CONNECTS:
        crowd = Crowd(asked.port, asked.sources, CONNECTS[asked.kind](asked.user))
        pace = begun(asked.rate, asked.seconds)
        crowd.run(pace)
        answers = crowd.answers
    else:
        password = asked.password_file.read_text(encoding="utf-8").strip() if asked.password_file else ""
        with admitted(asked.port, asked.user, password, asked.name) as one:
            pace = begun(asked.rate, asked.seconds)
            (deny_qos0 if asked.kind == "denied_qos0" else deny_qos1)(one, pace, answers)
    took_s = time.monotonic() - pace.began
    line = {"kind": asked.kind, "sent": pace.done, "per_s": round(pace.done / took_s), "answers": dict(answers)}
    print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
