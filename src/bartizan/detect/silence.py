"""A device that is always there, and is not, or that always talks, and does not: twice as long as ever before.

Only who has never been away for long is expected back: of whom sleeps or goes home at night nothing is told. What a
flood hides (`Visits`) may have been the return of any of them, so then nobody is missed until it is seen again. While
the broker is down everybody is away: that time counts for nobody. Who is away does not talk, and is not asked to.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bartizan.detect.base import taken
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Connected, Disconnected, Signal, Tick, Traffic, Visits

IDENTITIES_MAX = 50_000
"""Of so many identities it is known how long they are away; of more, of those that came last."""

CLIENTS_MAX = 16
"""Clients of one identity that are told apart."""

ALWAYS_S = 4 * 3_600.0
"""Who was away for longer is not always there."""

AWAY_LEAST_S = 900.0
"""Nobody is missed before."""

QUIET_LEAST_S = 1_800.0
"""Nor is a word of anybody."""

PAUSE_S = 300.0
"""A clock that stood still for so long, as that of a machine that was halted does, says nothing of anybody."""

TIMES_LONGEST = 2

DAY_S = 86_400.0
MINUTE_S = 60.0
HOUR_MINUTES = 60

TAKEN_OVER = "Session taken over"
BLOCK_REPORTING_MESSAGE = "T0804"


@dataclass(slots=True)
class _Presence:
    """When one identity is there."""

    since_s: float
    longest_away_s: float = 0.0
    away_s: float | None = None
    """Since when it is away."""
    is_missed: bool = False
    clients: set[str] = field(default_factory=set)
    talks_since_s: float | None = None
    """Since when it is known what it says."""
    longest_quiet_s: float = 0.0
    spoke_s: float | None = None
    """When it said something last; later by what it was away since."""
    is_quiet: bool = False

    @classmethod
    def kept(cls, value: Mapping[str, Any]) -> Self:
        away_s = value["away_s"]
        return cls(
            float(value["since_s"]),
            float(value["longest_away_s"]),
            None if away_s is None else float(away_s),
            bool(value["is_missed"]),
            talks_since_s=value.get("talks_since_s"),
            longest_quiet_s=float(value.get("longest_quiet_s", 0)),
        )

    def as_json(self) -> dict[str, object]:
        return {
            "since_s": self.since_s,
            "longest_away_s": self.longest_away_s,
            "away_s": self.away_s,
            "is_missed": self.is_missed,
            "talks_since_s": self.talks_since_s,
            "longest_quiet_s": self.longest_quiet_s,
        }


class Silence:
    """Who is missed. Whoever is `anonymous` is many, and never missed."""

    name = "silent_device"
    wants = (Connected, Disconnected, Visits, Traffic, Tick)
    score = 40

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._known: OrderedDict[str, _Presence] = OrderedDict()
        self._away: set[str] = set()
        self._changed: set[str] = set()
        self._begins_anew = False
        self._looked_s: float | None = None

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if self._begins_anew:
            self._begin_anew(signal.at_s)
        match signal:
            case Connected(identity=identity) if identity and signal.method != "anonymous":
                self._came(identity, signal.client_id, signal.at_s)
            case Disconnected(identity=identity) if signal.reason != TAKEN_OVER:
                self._went(identity, signal.client_id, signal.at_s)
            case Visits():
                for identity in self._away:
                    self._known[identity].away_s = None
                    self._changed.add(identity)
                self._away.clear()
            case Traffic(identity=identity) if signal.publishes:
                self._spoke(identity, signal.at_s)
            case Tick(at_s=at_s):
                if self._looked_s is not None and at_s - self._looked_s > PAUSE_S:
                    self._hear_anew()
                self._looked_s = at_s
                yield from self._missed(at_s)
                yield from self._quiet(at_s)
            case _:
                pass

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        return taken(self._changed, self._known)

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            self._known[name] = _Presence.kept(value)
        self._begins_anew = True

    def _begin_anew(self, at_s: float) -> None:
        """The broker has started: nobody is there yet."""
        self._begins_anew = False
        for name, there in self._known.items():
            there.away_s = at_s
            self._away.add(name)

    def _came(self, identity: str, client_id: str, at_s: float) -> None:
        there = self._known.get(identity)
        if there is None:
            there = self._known[identity] = _Presence(at_s)
            self._changed.add(identity)
            self._make_room()
        self._known.move_to_end(identity)
        if len(there.clients) < CLIENTS_MAX:
            there.clients.add(client_id)
        if there.away_s is not None:
            if not there.is_missed:
                # What people were told of is not what is usual.
                there.longest_away_s = max(there.longest_away_s, at_s - there.away_s)
            if there.spoke_s is not None:
                there.spoke_s += at_s - there.away_s
            there.away_s, there.is_missed = None, False
            self._away.discard(identity)
            self._changed.add(identity)

    def _went(self, identity: str, client_id: str, at_s: float) -> None:
        there = self._known.get(identity)
        if there is None:
            return
        there.clients.discard(client_id)
        if not there.clients and there.away_s is None:
            there.away_s = at_s
            self._away.add(identity)
            self._changed.add(identity)

    def _spoke(self, identity: str, at_s: float) -> None:
        there = self._known.get(identity)
        if there is None:
            return
        if there.talks_since_s is None:
            there.talks_since_s = at_s
            self._changed.add(identity)
        # What people were told of is not what is usual.
        quiet_s = 0.0 if there.spoke_s is None or there.is_quiet else at_s - there.spoke_s
        if quiet_s > there.longest_quiet_s:
            there.longest_quiet_s = quiet_s
            self._changed.add(identity)
        there.spoke_s, there.is_quiet = at_s, False

    def _hear_anew(self) -> None:
        for there in self._known.values():
            there.spoke_s = None

    def _quiet(self, at_s: float) -> Iterator[Finding]:
        for identity, there in self._known.items():
            spoke_s, since_s = there.spoke_s, there.talks_since_s
            if spoke_s is None or since_s is None or there.away_s is not None or there.is_quiet:
                continue
            if at_s - spoke_s <= max(QUIET_LEAST_S, TIMES_LONGEST * there.longest_quiet_s):
                continue
            days = (spoke_s - since_s) / DAY_S
            if days >= self._days_known and there.longest_quiet_s <= ALWAYS_S:
                there.is_quiet = True
                usual = f"never for more than {_long(there.longest_quiet_s)} in {int(days)} days before"
                text = f"identity {identity} is connected and says nothing for {_long(at_s - spoke_s)}, {usual}"
                yield Finding(self.name, About.TARGET, identity, self.score, text, at_s, BLOCK_REPORTING_MESSAGE)

    def _missed(self, at_s: float) -> Iterator[Finding]:
        for identity in sorted(self._away):
            there = self._known[identity]
            if there.away_s is None or there.is_missed:
                continue
            days, away_s = (there.away_s - there.since_s) / DAY_S, at_s - there.away_s
            is_due = away_s > max(AWAY_LEAST_S, TIMES_LONGEST * there.longest_away_s)
            if is_due and days >= self._days_known and there.longest_away_s <= ALWAYS_S:
                there.is_missed = True
                self._changed.add(identity)
                usual = f"never for more than {_long(there.longest_away_s)} in {int(days)} days before"
                text = f"identity {identity} is away for {_long(away_s)}, {usual}"
                yield Finding(self.name, About.TARGET, identity, self.score, text, at_s, BLOCK_REPORTING_MESSAGE)

    def _make_room(self) -> None:
        if len(self._known) > IDENTITIES_MAX:
            name, _ = self._known.popitem(last=False)
            self._away.discard(name)
            self._changed.add(name)


def _long(seconds: float) -> str:
    hours, minutes = divmod(int(seconds // MINUTE_S), HOUR_MINUTES)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
