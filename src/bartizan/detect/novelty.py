"""What an identity was never seen doing: another network, another client software, another hour of the day.

It learns for days before it says anything, and remembers over a restart. An identity that is everywhere (a phone) is
not suspected for its places, and one that connects too rarely to have hours is not for its hours.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bartizan.detect.base import taken
from bartizan.model.finding import About, Finding
from bartizan.model.network import network_of
from bartizan.model.signal import Connected, Signal

IDENTITIES_MAX = 50_000
"""Of so many identities it is known what they do; of more, of those that came last."""

VALUES_MAX = 16
"""Networks, and kinds of software, remembered of one identity; the longest unseen give way."""

ROAMS_FROM = 12
"""Who has so many networks is at home nowhere."""

CONNECTS_MIN = 5
"""Before so many connections nothing is usual."""

CONNECTS_WITH_HOURS_MIN = 60
"""Before so many connections an hour says nothing."""

IPV4_BITS = 24
"""Addresses of one network are one place."""

DAY_S = 86_400.0
HOUR_S = 3_600.0
HOURS = 24

VALID_ACCOUNTS = "T0859"


@dataclass(slots=True)
class _Usual:
    """What is known of one identity."""

    since_s: float
    connects: int = 0
    networks: list[str] = field(default_factory=list)
    software: list[str] = field(default_factory=list)
    hours: int = 0
    """A bit for each hour of the day, UTC."""

    @classmethod
    def kept(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            float(value["since_s"]),
            int(value["connects"]),
            [str(each) for each in value["networks"]],
            [str(each) for each in value["software"]],
            int(value["hours"]),
        )

    def as_json(self) -> dict[str, object]:
        return {
            "since_s": self.since_s,
            "connects": self.connects,
            "networks": self.networks,
            "software": self.software,
            "hours": self.hours,
        }


class Novelty:
    """What is new for an identity. Whoever is `anonymous` is many, and passed over."""

    name = "novelty"
    wants = (Connected,)
    network_score = 40
    software_score = 30
    hour_score = 20

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._usual: OrderedDict[str, _Usual] = OrderedDict()
        self._changed: set[str] = set()

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if not isinstance(signal, Connected) or not signal.identity or signal.method == "anonymous":
            return
        usual = self._of(signal.identity, signal.at_s)
        known_days = (signal.at_s - usual.since_s) / DAY_S
        if known_days >= self._days_known and usual.connects >= CONNECTS_MIN:
            yield from self._news(signal, usual, int(known_days))
        network, software, hour = _network(signal), _software(signal), _hour(signal)
        known = network in usual.networks and software in usual.software and usual.hours >> hour & 1
        usual.connects += 1
        if not known or usual.connects & (usual.connects - 1) == 0:
            # What only counts on is written when the count doubles.
            self._changed.add(signal.identity)
        _note(usual.networks, network)
        _note(usual.software, software)
        usual.hours |= 1 << hour

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        return taken(self._changed, self._usual)

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            self._usual[name] = _Usual.kept(value)

    def _of(self, identity: str, at_s: float) -> _Usual:
        usual = self._usual.setdefault(identity, _Usual(at_s))
        self._usual.move_to_end(identity)
        if len(self._usual) > IDENTITIES_MAX:
            name, _ = self._usual.popitem(last=False)
            self._changed.add(name)
        return usual

    def _news(self, signal: Connected, usual: _Usual, days: int) -> Iterator[Finding]:
        network, software, hour = _network(signal), _software(signal), _hour(signal)
        since = f"in {days} days and {usual.connects:,} connections"
        if network not in usual.networks and len(usual.networks) < ROAMS_FROM:
            where = f"{network or 'a Unix socket'}, never {since}; it has {len(usual.networks)} usual networks"
            yield self._found(signal, self.network_score, f"connected from {where}")
        if software not in usual.software:
            yield self._found(signal, self.software_score, f"connected as {software}, never {since}")
        near = 1 << hour | 1 << (hour + 1) % HOURS | 1 << (hour - 1) % HOURS
        if usual.connects >= CONNECTS_WITH_HOURS_MIN and not usual.hours & near:
            yield self._found(signal, self.hour_score, f"connected at {hour:02}:00 to {hour:02}:59 UTC, never {since}")

    def _found(self, signal: Connected, score: int, what: str) -> Finding:
        text = f"identity {signal.identity} {what}"
        return Finding(self.name, About.IDENTITY, signal.identity, score, text, signal.at_s, VALID_ACCOUNTS)


def _network(signal: Connected) -> str:
    return network_of(signal.address, IPV4_BITS)


def _software(signal: Connected) -> str:
    """What a client shows of its software without being asked."""
    return f"MQTT {signal.version} over {signal.transport} with Keep Alive {signal.keep_alive_s} s"


def _hour(signal: Connected) -> int:
    return int(signal.at_s % DAY_S // HOUR_S)


def _note(values: list[str], value: str) -> None:
    if value in values:
        values.remove(value)
    values.append(value)
    del values[:-VALUES_MAX]
