"""What detectors look at: who failed to log in, came, went, was refused, was denied. Values of what has happened.

A flood is told by its first events and a number of the rest: `count` is how many a signal stands for, and what a
number cannot say of each (a topic, why) is empty then.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that happened. Times are Unix seconds."""

    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Signal):
    """A minute has passed: for what is found because nothing happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Signal):
    """A CONNECT whose credential proved nobody."""

    name: str
    """The name that was claimed; of one that is no identity's, a pseudonym: people type passwords there."""
    is_known: bool
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Signal):
    """An identity came."""

    identity: str
    client_id: str
    address: str
    listener: str = ""
    method: str = ""
    version: str = ""
    transport: str = ""
    keep_alive_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(Signal):
    """An identity went."""

    identity: str
    client_id: str
    address: str
    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits(Signal):
    """Connections that were accepted and not told one by one."""

    address: str
    """Empty where they came from many."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Signal):
    """A connection, or a CONNECT, was not accepted."""

    address: str
    reason: str
    """Name of the Reason Code, or `Handshake failed`."""
    why: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Signal):
    """The policy said no."""

    identity: str
    client_id: str
    address: str
    action: str
    """`publish`, `subscribe`, `receive` or `will`."""
    topic: str = ""
    """A Topic Name, or a Topic Filter if the action is to subscribe."""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractBroken(Signal):
    """A message was not as the policy declares its topic."""

    identity: str
    client_id: str
    address: str
    broken: str
    """`topic`, `payload` or `rate`."""
    topic: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitMet(Signal):
    """Something reached its bound."""

    identity: str
    """Empty where nobody has proved anything yet."""
    address: str
    limit: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InTwoPlaces(Signal):
    """A credential connected from another place than where it is connected."""

    identity: str
    address: str
    other_address: str
    kind: str = "certificate"
    """What it is: `certificate`, `password`, `scram` or `token`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialEnding(Signal):
    """A credential without a successor is near its end, or has ended."""

    identity: str
    credential: str
    kind: str
    ends_at: str
    days_left: int
    """Below zero: it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic(Signal):
    """What an identity did since the last look of a few seconds. Of one with clients on several shards there are several."""

    identity: str
    publishes: int
    octets: int
    """Of payloads."""
    size_max: int = 0
    peak_publishes_per_s: int = 0
    """The greatest of its one-second windows."""
    peak_octets_per_s: int = 0
    active_s: int = 0
    """Seconds in which it sent anything."""
    denied: int = 0
    """To publish, to subscribe, to leave a Will."""
    subscribes: int = 0
    """Topic Filters that it asked for."""
    retained: int = 0
    """Messages with RETAIN that were kept, or that cleared one."""
    wills: int = 0
    """CONNECTs with a Will, and Wills that came due."""
    pings: int = 0
    topics: int = 0
    """A bit for each topic's hash: how many different ones there were, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh(Signal):
    """An identity did, and was granted, what it was not seen doing lately. After a restart, or by chance, it comes again."""

    identity: str
    client_id: str
    action: str
    """`publish`, `subscribe` or `will`."""
    topic: str
    """A Topic Name, or a Topic Filter if the action is to subscribe."""
    rule: str = ""
    """The rule that grants it."""
