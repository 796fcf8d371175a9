"""What one signal adds to a rule: for whom, and how many."""

from collections.abc import Iterator

from bartizan.detect.rules import Counted
from bartizan.model.finding import About
from bartizan.model.network import network_of
from bartizan.model.signal import (
    Connected,
    ContractBroken,
    Denied,
    Disconnected,
    LimitMet,
    LoginFailed,
    Refused,
    Signal,
    Traffic,
    Visits,
)

ANONYMOUS = "anonymous"
"""The identity of all who prove none: nothing that is counted of them is one client's."""

TAKEN_OVER = "Session taken over"
TIMED_OUT = "Keep Alive timeout"
HANDSHAKE_FAILED = "Handshake failed"
MALFORMED = frozenset({"Malformed Packet", "Protocol Error", "Packet too large", "Topic Alias invalid"})
CONNECTION_LIMITS = frozenset({"connections_max", "connections_per_prefix_max", "connection_rate_per_prefix_per_s"})
TIME_LIMITS = ("connect_timeout_s", "handshake_timeout_s")


def failed_logins(signal: Signal, /) -> Iterator[Counted]:
    """By the address they come from, and by the identity that they are aimed at."""
    if isinstance(signal, LoginFailed):
        yield _network(signal.address)
        if signal.is_known:
            yield Counted(About.TARGET, signal.name)


def names_tried(signal: Signal, /) -> Iterator[Counted]:
    """Of one address, the names."""
    if isinstance(signal, LoginFailed) and signal.name:
        yield Counted(About.NETWORK, network_of(signal.address), value=signal.name)


def networks_tried_from(signal: Signal, /) -> Iterator[Counted]:
    """Of one identity, the addresses."""
    if isinstance(signal, LoginFailed) and signal.is_known:
        yield Counted(About.TARGET, signal.name, value=network_of(signal.address))


def failed_handshakes(signal: Signal, /) -> Iterator[Counted]:
    """Those that failed, not those that were too slow."""
    if isinstance(signal, Refused) and signal.reason == HANDSHAKE_FAILED and not signal.why.endswith(TIME_LIMITS):
        yield _network(signal.address, signal.count)


def crowds(signal: Signal, /) -> Iterator[Counted]:
    """Connections that did not come to anything, or were too many to be told; of many addresses, of all together."""
    if isinstance(signal, Visits):
        yield _network(signal.address, signal.count) if signal.address else Counted(About.BROKER, "", signal.count)
    elif isinstance(signal, Refused) or (isinstance(signal, LimitMet) and signal.limit in CONNECTION_LIMITS):
        yield _network(signal.address, signal.count)


def slow_connects(signal: Signal, /) -> Iterator[Counted]:
    """Whoever keeps a connection and says nothing whole."""
    # A handshake that is too slow is told as a refusal alone, a CONNECT as both: it counts once.
    match signal:
        case LimitMet(limit="connect_timeout_s"):
            yield _network(signal.address, signal.count)
        case Refused(reason="Handshake failed") if signal.why.endswith(TIME_LIMITS):
            yield _network(signal.address, signal.count)
        case _:
            pass


def malformed(signal: Signal, /) -> Iterator[Counted]:
    """By the identity, or where nobody had proved anything by the address."""
    if isinstance(signal, Refused) and signal.reason in MALFORMED:
        yield _network(signal.address, signal.count)
    elif isinstance(signal, Disconnected) and signal.reason in MALFORMED:
        yield _network(signal.address) if _is_nobody(signal.identity) else Counted(About.IDENTITY, signal.identity)


def denials(signal: Signal, /) -> Iterator[Counted]:
    """By whom."""
    if isinstance(signal, Denied) and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.count)


def denied_topics(signal: Signal, /) -> Iterator[Counted]:
    """By whom, and which."""
    if isinstance(signal, Denied) and signal.topic and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, value=signal.topic)


def broken_contracts(signal: Signal, /) -> Iterator[Counted]:
    """By whom."""
    if isinstance(signal, ContractBroken) and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.count)


def limits_met(signal: Signal, /) -> Iterator[Counted]:
    """By whom, who has proved who it is."""
    if isinstance(signal, LimitMet) and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.count)


def take_overs(signal: Signal, /) -> Iterator[Counted]:
    """Of whose Sessions: by the same identity, for no other one can."""
    if isinstance(signal, Disconnected) and signal.reason == TAKEN_OVER and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity)


def connects(signal: Signal, /) -> Iterator[Counted]:
    """By whom."""
    if isinstance(signal, Connected) and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity)


def timeouts(signal: Signal, /) -> Iterator[Counted]:
    """By whom, who connected and then said nothing."""
    if isinstance(signal, Disconnected) and signal.reason == TIMED_OUT and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity)


def endless(signal: Signal, /) -> Iterator[Counted]:
    """By whom, who asked that nobody should look whether it is there."""
    if isinstance(signal, Connected) and not signal.keep_alive_s and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity)


def retained(signal: Signal, /) -> Iterator[Counted]:
    """By whom."""
    if isinstance(signal, Traffic) and signal.retained and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.retained)


def wills(signal: Signal, /) -> Iterator[Counted]:
    """By whom: left, and published."""
    if isinstance(signal, Traffic) and signal.wills and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.wills)


def pings(signal: Signal, /) -> Iterator[Counted]:
    """By whom."""
    if isinstance(signal, Traffic) and signal.pings and not _is_nobody(signal.identity):
        yield Counted(About.IDENTITY, signal.identity, signal.pings)


def _network(address: str, count: int = 1) -> Counted:
    return Counted(About.NETWORK, network_of(address), count)


def _is_nobody(identity: str) -> bool:
    return identity in {"", ANONYMOUS}
