"""An engine in memory: it asks what a test puts in, and remembers what it was told."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from bartizan.broker.ports import Answer, Bound, ControlRequest, EnginePort, Question
from bartizan.detect.activity import Activity
from bartizan.policy import CompiledPolicy


class FakeEngine(EnginePort):
    """`EnginePort` without sockets. `ask` and `tell` make `wake_fd` readable, as the real one does."""

    def __init__(self) -> None:
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._questions: list[Question] = []
        self._events: list[Mapping[str, Any]] = []
        self._commands: list[ControlRequest] = []
        self.replies: list[tuple[str | None, str, bytes]] = []
        self.answers: list[Answer] = []
        self.applied: list[tuple[CompiledPolicy, bytes]] = []
        self.updated: list[dict[str, Any]] = []
        self.banned: list[list[dict[str, Any]]] = []
        self.throttled: list[dict[str, list[int]]] = []
        self.cut: list[dict[str, Any]] = []
        self.tls: list[tuple[str, bytes]] = []
        self.status: dict[str, str] = {}
        self.counters: dict[str, int] = {"epoch": 1}
        self.watched: list[tuple[tuple[str, ...], CompiledPolicy | None]] = []
        self.uses_asked: list[bool] = []
        self.observed: list[Mapping[str, Any]] = []

    def close(self) -> None:
        os.close(self._wake_fd)

    def ask(self, *questions: Question) -> None:
        self._questions += questions
        os.eventfd_write(self._wake_fd, 1)

    def tell(self, *events: Mapping[str, Any]) -> None:
        self._events += events
        os.eventfd_write(self._wake_fd, 1)

    def command(self, *requests: ControlRequest) -> None:
        self._commands += requests
        os.eventfd_write(self._wake_fd, 1)

    @property
    def wake_fd(self) -> int:
        return self._wake_fd

    def start(self, policy: CompiledPolicy, identities: bytes) -> None:
        self.applied.append((policy, identities))

    def recovery(self) -> tuple[int, int]:
        return (self.counters.get("sessions", 0), self.counters.get("queued_messages", 0))

    def stop(self, grace_s: float) -> None:
        pass

    def apply(self, policy: CompiledPolicy, identities: bytes) -> int:
        self.applied.append((policy, identities))
        return len(self.applied)

    def update(self, changed: bytes) -> Mapping[str, Any]:
        self.updated.append(json.loads(changed))
        ended = [
            {
                "identity": name,
                "client_id": name,
                "tenant": None,
                "was_connected": True,
                "subscriptions": 1,
                "queued": 0,
                "inflight": 0,
                "had_will": False,
            }
            for name in self.updated[-1]["endings"]
        ]
        return {"epoch": len(self.applied) + len(self.updated), "ended": ended, "retained": 0}

    def ban(self, bans: bytes) -> Sequence[Mapping[str, Any]]:
        self.banned.append(json.loads(bans))
        return self.cut

    def throttle(self, throttles: bytes) -> None:
        self.throttled.append(json.loads(throttles))

    def discard(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        return None

    def set_tls(self, listener: str, material: bytes) -> None:
        self.tls.append((listener, material))

    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        return False

    def clients(self, after: str, limit: int, *, identity: str | None = None, client_id: str | None = None) -> bytes:
        return b"[]"

    def metrics(self) -> Mapping[str, int]:
        return self.counters

    def listeners(self) -> Sequence[Bound]:
        return [Bound("mqtts", "127.0.0.1:8883", "mqtts")]

    def watch(self, learn: Sequence[str], staged: CompiledPolicy | None) -> None:
        self.watched.append((tuple(learn), staged))

    def take_observations(self, *, uses: bool) -> Sequence[Mapping[str, Any]]:
        self.uses_asked.append(uses)
        observed, self.observed = self.observed, []
        return observed

    def take_activity(self) -> Activity:
        return Activity((), (), ())

    # Nobody is connected here.

    def trace(self, client_id: str, *, for_s: float, payloads: bool, tenant: str | None = None) -> int:
        return 1

    def take_trace(self, number: int, limit: int, *, octets: bool) -> bytes | None:
        return None

    def end_trace(self, number: int) -> bool:
        return False

    def session(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        return None

    def retained(self, filter_: str, after: str | None, limit: int, *, whole: bool) -> Mapping[str, Any]:
        return {"messages": [], "next": None}

    def clear_retained(self, filter_: str, after: str | None, limit: int) -> Mapping[str, Any]:
        return {"count": 0, "next": None}

    def topics(self, prefix: str, depth: int, *, traffic: bool = False) -> Mapping[str, Any]:
        names = ("retained", "retained_bytes", "subscriptions", "messages", "bytes")
        return {"topics": {}, "left_out": dict.fromkeys(names, 0)}

    def subscriptions(self, sought: Mapping[str, str], after: tuple[int, int] | None, limit: int) -> Mapping[str, Any]:
        return {"subscriptions": [], "next": None}

    def publish_status(self, topics: Mapping[str, str]) -> None:
        self.status |= topics

    def take_questions(self, limit: int) -> Sequence[Question]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        taken, self._questions = self._questions[:limit], self._questions[limit:]
        if self._questions:
            os.eventfd_write(self._wake_fd, 1)
        return taken

    def answer(self, answers: Sequence[Answer]) -> None:
        self.answers += answers

    def take_events(self, limit: int) -> Sequence[Mapping[str, Any]]:
        taken, self._events = self._events[:limit], self._events[limit:]
        if self._events:
            os.eventfd_write(self._wake_fd, 1)
        return taken

    def take_control(self, limit: int) -> Sequence[ControlRequest]:
        taken, self._commands = self._commands[:limit], self._commands[limit:]
        return taken

    def reply(self, client: str | None, topic: str, payload: bytes) -> None:
        self.replies.append((client, topic, payload))
