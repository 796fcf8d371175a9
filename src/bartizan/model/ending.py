"""How Sessions end by order, and what was in those that did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bartizan.model.reason import ReasonCode


@dataclass(frozen=True, slots=True)
class Ending:
    """All Sessions of an identity end: connections, Subscriptions, what is queued and in flight, the Will."""

    why: str
    """For a 5.0 client, and the log."""
    reason: ReasonCode = ReasonCode.ADMINISTRATIVE_ACTION
    clears_retained: bool = False
    """Its Retained Messages are removed too."""

    def as_dict(self) -> dict[str, Any]:
        """As the engine takes it."""
        return {"reason": int(self.reason), "why": self.why, "retained": self.clears_retained}


@dataclass(frozen=True, slots=True)
class EndedSession:
    """One Session that ended."""

    identity: str
    client_id: str
    tenant: str | None
    was_connected: bool
    subscriptions: int
    queued: int
    """Messages that waited for it."""
    inflight: int
    """Messages sent to it and not yet acknowledged."""
    had_will: bool
    """A Will was suppressed."""


@dataclass(frozen=True, slots=True)
class CutConnection:
    """One connection that a ban has cut. Its Session stays."""

    identity: str
    client_id: str
    tenant: str | None
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended with a change of identities, or of bans."""

    sessions: tuple[EndedSession, ...] = ()
    retained: int = 0
    """Retained Messages that were removed."""
    cut: tuple[CutConnection, ...] = ()
    """Connections that met a ban."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From what the engine tells."""
        return cls(tuple(EndedSession(**session) for session in told["ended"]), told["retained"])
