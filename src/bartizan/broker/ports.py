"""What the broker needs of an engine: values and one Protocol. `native` adapts the native one to it.

Values in, values out, no callbacks: a descriptor says when to look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bartizan.authn.base import ConnectRequest
from bartizan.detect.activity import Activity
from bartizan.model.principal import Principal
from bartizan.policy import CompiledPolicy

ADMINISTRATIVE_ACTION = 0x98
"""The Reason Code of a DISCONNECT that an operator ordered, unless another one is named."""

ORDERED_REASONS = frozenset({0x87, 0x89, 0x8B, 0x8E, 0x98, 0x9C, 0x9D})
"""Reason Codes that an operator may order."""


@dataclass(frozen=True, slots=True)
class Question:
    """A CONNECT, or an AUTH that goes on with one, that waits for an answer."""

    token: int
    request: ConnectRequest


@dataclass(frozen=True, slots=True)
class Allow:
    """Lets the client in as this principal, until `ends_at` if that is set."""

    token: int
    principal: Principal
    managed: bool
    """True if the identity store keeps the principal, so that a change there reaches this client."""
    assigned_client_id: str | None = None
    ends_at: datetime | None = None
    data: bytes | None = field(default=None, repr=False)
    remembered_s: int = 0
    """Seconds for which the engine may give this answer by itself."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuses the client. `why` is for the log, never for the client."""

    token: int
    reason: int
    why: str


@dataclass(frozen=True, slots=True)
class Proceed:
    """Asks the client on by AUTH; the engine gives `state` back with its answer."""

    token: int
    data: bytes = field(repr=False)
    state: bytes = field(default=b"", repr=False)


Answer = Allow | Deny | Proceed


@dataclass(frozen=True, slots=True)
class Bound:
    """A listener as it is: with the port the system chose."""

    name: str
    address: str
    transport: str


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A message to the broker, from a client that the policy lets publish it."""

    topic: str
    payload: bytes = field(repr=False)
    """There may be passwords in it."""

    identity: str
    client_id: str
    tenant: str | None = None
    correlation: bytes | None = field(default=None, repr=False)
    response_topic: str | None = None
    """Nothing is published there: the policy was not asked about it."""


class ControlPort(Protocol):
    """The engine's lane of commands. `wake_fd` tells of it as of questions."""

    def take_control(self, limit: int) -> Sequence[ControlRequest]:
        """Requests that wait, oldest first."""
        ...

    def reply(self, client: str | None, topic: str, payload: bytes) -> None:
        """Sends this to one client, if it is subscribed to the topic, or to all that are; nothing to who is gone."""
        ...


class TracePort(Protocol):
    """The engine's traces of clients."""

    def trace(self, client_id: str, *, for_s: float, payloads: bool, tenant: str | None = None) -> int:
        """Takes down what a client sends and is sent, its secrets left out; the trace's number.

        `ChangeRefused` where as many are under way as may be.
        """
        ...

    def take_trace(self, number: int, limit: int, *, octets: bool) -> bytes | None:
        """Packets as JSON lines, oldest first, with their octets or without; None where there is no such trace."""
        ...

    def end_trace(self, number: int) -> bool:
        """Ends a trace; False where there is none."""
        ...


class InspectPort(Protocol):
    """What the engine knows of Sessions, Retained Messages and topics. A call waits for shards: not in an event loop."""

    def session(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        """A Session, connected or away, of a tenant's client if one is named; None where there is none."""
        ...

    def retained(self, filter_: str, after: str | None, limit: int, *, whole: bool) -> Mapping[str, Any]:
        """`messages` that a Topic Filter matches behind a topic, and `next`; `InvalidValue` where it is none."""
        ...

    def clear_retained(self, filter_: str, after: str | None, limit: int) -> Mapping[str, Any]:
        """Removes so many of them, or some more; `count`, and `next` where there are more."""
        ...

    def topics(self, prefix: str, depth: int, *, traffic: bool = False) -> Mapping[str, Any]:
        """`topics` below a prefix, so many levels deep, with what is retained and subscribed to; and `left_out`.

        With `traffic`, how much was published there since that was first asked for: it is counted from then on, until
        nobody has asked for a minute. Two answers tell a rate.
        """
        ...

    def subscriptions(self, sought: Mapping[str, str], after: tuple[int, int] | None, limit: int) -> Mapping[str, Any]:
        """`subscriptions` of Sessions behind a place, at least so many if there are, and `next`: the place for more.

        `sought`: those of one `identity`, of one `client_id`, those that match one `topic`; `InvalidValue` where that is
        no Topic Name.
        """
        ...


class EnginePort(ControlPort, TracePort, InspectPort, Protocol):
    """The engine, from the broker's side. All calls are quick but `start`, `stop` and `apply`."""

    @property
    def wake_fd(self) -> int:
        """Readable when there are questions, commands or events. `take_questions` silences it: call that one first."""
        ...

    def start(self, policy: CompiledPolicy, identities: bytes) -> None:
        """Binds all listeners and restores the Sessions, or raises `StartRefused` with nothing half-started."""
        ...

    def recovery(self) -> tuple[int, int]:
        """Sessions and messages that a `start` in another thread has taken back so far."""
        ...

    def stop(self, grace_s: float) -> None:
        """Says goodbye to all clients, commits the store and ends. Blocks for up to `grace_s`."""
        ...

    def apply(self, policy: CompiledPolicy, identities: bytes) -> int:
        """Puts both in force at once; the epoch they opened."""
        ...

    def update(self, changed: bytes) -> Mapping[str, Any]:
        """Changes some identities under the policy in force, and ends Sessions; the epoch, and what ended."""
        ...

    def ban(self, bans: bytes) -> Sequence[Mapping[str, Any]]:
        """Puts bans in place of those that were, also before `start`; the connections that were cut."""
        ...

    def throttle(self, throttles: bytes) -> None:
        """Puts throttles in place of those that were."""
        ...

    def discard(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        """Ends a Session, of a tenant's client if one is named; what was in it, None if there is none."""
        ...

    def set_tls(self, listener: str, material: bytes) -> None:
        """Replaces a listener's certificates; `CertificateUnusable` changes nothing."""
        ...

    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        """Ends a connection, of a tenant's client if one is named; False if there is none."""
        ...

    def clients(self, after: str, limit: int, *, identity: str | None = None, client_id: str | None = None) -> bytes:
        """JSON array of connected clients in order of Client Identifier, behind `after`; of one identity or name alone."""
        ...

    def metrics(self) -> Mapping[str, int]:
        """Every counter by name."""
        ...

    def listeners(self) -> Sequence[Bound]:
        """What listens where."""
        ...

    def watch(self, learn: Sequence[str], staged: CompiledPolicy | None) -> None:
        """Watches what clients of these listeners do, and what this policy would decide otherwise; denials and uses
        of rules always."""
        ...

    def take_observations(self, *, uses: bool) -> Sequence[Mapping[str, Any]]:
        """Of each shard what it observed since the last time, in the words of the engine's stub; uses of rules, which
        are the most, only if they are asked for."""
        ...

    def take_activity(self) -> Activity:
        """What identities did since the last time. It is counted from the first time on."""
        ...

    def publish_status(self, topics: Mapping[str, str]) -> None:
        """Publishes `$SYS/...` topics, retained."""
        ...

    def take_questions(self, limit: int) -> Sequence[Question]:
        """Questions that wait, oldest first."""
        ...

    def answer(self, answers: Sequence[Answer]) -> None:
        """Answers questions; a token the engine has given up on is passed over."""
        ...

    def take_events(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """What happened, oldest first."""
        ...
