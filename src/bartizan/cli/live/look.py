"""What a broker told at one moment, and what happened between two such moments: rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

Row = Mapping[str, Any]

COUNTED: Final[Mapping[str, str]] = {
    "publish_in": "bartizan_publish_received_total",
    "publish_out": "bartizan_publish_sent_total",
    "bytes_in": "bartizan_bytes_received_total",
    "bytes_out": "bartizan_bytes_sent_total",
    "dropped": "bartizan_publish_dropped_total",
    "denied": "bartizan_denied_total",
    "accepted": "bartizan_connects_accepted_total",
    "refused": "bartizan_connects_refused_total",
    "malformed": "bartizan_protocol_errors_total",
}
"""Rates, and the counters that they are made of."""

GAUGES: Final[Mapping[str, str]] = {
    "connected": "bartizan_clients_connected",
    "away": "bartizan_clients_disconnected",
    "subscriptions": "bartizan_subscriptions",
    "queued": "bartizan_queued_messages",
    "retained": "bartizan_retained_messages",
}

CLIENT_RATES: Final = ("messages_in", "messages_out", "bytes_in", "bytes_out")


@dataclass(frozen=True, slots=True)
class Look:
    """What was told."""

    at: datetime
    clock_s: float
    """When, by a clock that nobody sets."""
    status: Row
    metrics: Mapping[str, float]
    clients: Sequence[Row]
    has_more_clients: bool = False
    """Only the busiest are among `clients`."""
    denials: Sequence[Row] = ()
    findings: Sequence[Row] = ()
    """Those that nobody has seen to."""
    waiting: Sequence[Row] = ()
    """Responses of playbooks that wait for an operator."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What this operator is not told, and why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is shown: a look, and what happened since the one before it. Rates are per second."""

    look: Look
    over_s: float
    rates: Mapping[str, float]
    clients: Sequence[Row]
    """With `..._per_s` of each; the busiest first."""
    denials: Sequence[Row]
    """With `per_s` of each; what was denied last comes first."""

    @classmethod
    def between(cls, before: Look | None, now: Look) -> "Snapshot":
        """From two looks; of the first one alone, all rates are 0."""
        over_s = 0.0 if before is None else max(0.0, now.clock_s - before.clock_s)
        earlier: Mapping[str, float] = {} if before is None else before.metrics
        return cls(
            look=now,
            over_s=over_s,
            rates={
                name: per_s(earlier.get(counter), now.metrics.get(counter, 0.0), over_s)
                for name, counter in COUNTED.items()
            },
            clients=_busiest_first(() if before is None else before.clients, now.clients, over_s),
            denials=_with_rates(None if before is None else before.denials, now.denials, over_s),
        )

    def gauge(self, name: str) -> int:
        """One of `GAUGES`."""
        return int(self.look.metrics.get(GAUGES[name], 0))

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "at": self.look.at.isoformat(timespec="milliseconds"),
            "over_s": round(self.over_s, 3),
            "broker": dict(self.look.status),
            "rates_per_s": {name: round(rate, 2) for name, rate in self.rates.items()},
            "now": {name: self.gauge(name) for name in GAUGES},
            "clients": list(self.clients),
            "clients_are_all": not self.look.has_more_clients,
            "denials": list(self.denials),
            "findings": list(self.look.findings),
            "waiting": list(self.look.waiting),
            "not_told": dict(self.look.missing),
        }


def per_s(before: float | None, now: float, over_s: float) -> float:
    """The rate of a counter; 0 where it was not there before, or began anew, as after a restart."""
    if before is None or over_s <= 0 or now < before:
        return 0.0
    return (now - before) / over_s


def key_of(client: Row) -> tuple[str, str]:
    """What tells clients apart: those of two tenants may have one Client Identifier."""
    return str(client.get("tenant") or ""), str(client["client_id"])


def _busiest_first(before: Sequence[Row], now: Sequence[Row], over_s: float) -> list[Row]:
    earlier = {key_of(client): client for client in before}
    rated = [_with_client_rates(earlier.get(key_of(client)), client, over_s) for client in now]
    return sorted(
        rated, key=lambda client: (-client["messages_in_per_s"] - client["messages_out_per_s"], key_of(client))
    )


def _with_client_rates(before: Row | None, now: Row, over_s: float) -> Row:
    # One that came again in between has counters of its own.
    is_same = before is not None and before["connected_at"] == now["connected_at"]
    return dict(now) | {
        f"{name}_per_s": round(per_s(before[name] if is_same and before is not None else None, now[name], over_s), 2)
        for name in CLIENT_RATES
    }


def _with_rates(before: Sequence[Row] | None, now: Sequence[Row], over_s: float) -> list[Row]:
    earlier = {denial["number"]: denial["count"] for denial in before or ()}
    # What was not there at the look before has happened since.
    otherwise = None if before is None else 0
    return [
        dict(denial) | {"per_s": round(per_s(earlier.get(denial["number"], otherwise), denial["count"], over_s), 2)}
        for denial in now
    ]
