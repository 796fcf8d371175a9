"""More than an identity's own usual traffic: messages and octets in five minutes, beside those of the same hour of the week.

What is usual is a level for each of the 168 hours of a week, and how far it goes up and down: both as logarithms, so that
twice as much is as far for a meter as for a gateway, and as octets, so that twenty thousand identities are known in
little memory. A level moves a little with each five minutes; what is found moves it not.
"""

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2
from typing import Any, Self

from bartizan.model.finding import About, Finding
from bartizan.model.signal import Signal, Tick, Traffic

IDENTITIES_MAX = 20_000
"""Of so many identities it is known what is usual; of more, of those that spoke last."""

SPAN_S = 300.0
DAY_S = 86_400.0
HOUR_S = 3_600.0
HOURS = 168

STEP = 8.0
"""A level of 8 is a factor of two: levels are eighths of a logarithm, in one octet each."""

SPREAD_STEP = 32.0
LEVEL_WEIGHT = 0.05
SPREADS_USUAL = 6.0
DOUBLINGS_MIN = 2.0
"""What is not four times as much is nothing, however even the traffic was before."""

SEEN_MIN = 24
"""Of an hour of the week so many spans have to be known (two weeks): before, the busiest known hour counts."""

COUNT_MIN = {"messages": 120, "octets": 262_144}
"""In one span: less harms nobody."""

OCTET_MAX = 255
MEASURES = ("messages", "octets")
DENIAL_OF_SERVICE = "T0814"


class _Levels:
    """What is usual of one measure: level, spread and how often seen, of each hour of the week."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes = b"") -> None:
        self._octets = bytearray(octets if len(octets) == 3 * HOURS else 3 * HOURS)

    def expected(self, hour: int) -> tuple[float, float]:
        """Level and spread, as doublings."""
        if self._octets[2 * HOURS + hour] < SEEN_MIN:
            hour = max(range(HOURS), key=lambda other: self._octets[other])
        return self._octets[hour] / STEP, self._octets[HOURS + hour] / SPREAD_STEP

    def learn(self, hour: int, doublings: float) -> None:
        """This was usual."""
        seen = self._octets[2 * HOURS + hour]
        level, spread = self._octets[hour] / STEP, self._octets[HOURS + hour] / SPREAD_STEP
        weight = max(LEVEL_WEIGHT, 1 / (seen + 1))
        away = abs(doublings - level)
        self._octets[hour] = min(OCTET_MAX, round((level + weight * (doublings - level)) * STEP))
        if seen:
            self._octets[HOURS + hour] = min(OCTET_MAX, round((spread + weight * (away - spread)) * SPREAD_STEP))
        self._octets[2 * HOURS + hour] = min(OCTET_MAX, seen + 1)

    def text(self) -> str:
        """For the disk."""
        return b64encode(self._octets).decode()


@dataclass(slots=True)
class _Usual:
    since_s: float
    span: int
    messages: int
    octets: int
    levels: tuple[_Levels, _Levels]

    @classmethod
    def kept(cls, value: Mapping[str, Any]) -> Self:
        levels = (_Levels(b64decode(value["messages"])), _Levels(b64decode(value["octets"])))
        return cls(float(value["since_s"]), -1, 0, 0, levels)

    def as_json(self) -> dict[str, object]:
        messages, octets = self.levels
        return {"since_s": self.since_s, "messages": messages.text(), "octets": octets.text()}


class Volume:
    """Who sends much more than it usually does at this hour of the week. Whoever is `anonymous` is many."""

    name = "volume"
    wants = (Traffic, Tick)
    score = 50

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._usual: OrderedDict[str, _Usual] = OrderedDict()
        self._changed: set[str] = set()
        self._gone: set[str] = set()

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        span = int(signal.at_s // SPAN_S)
        if isinstance(signal, Traffic) and signal.identity not in {"", "anonymous"}:
            if not signal.publishes and signal.identity not in self._usual:
                return
            usual = self._usual.get(signal.identity) or self._new(signal.identity, signal.at_s)
            if usual.span != span:
                yield from self._close(signal.identity, usual, span)
            usual.messages += signal.publishes
            usual.octets += signal.octets
            self._usual.move_to_end(signal.identity)
        elif isinstance(signal, Tick):
            for identity, usual in self._usual.items():
                if usual.span not in {span, -1}:
                    yield from self._close(identity, usual, span)

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        gone: dict[str, Any] = dict.fromkeys(self._gone)
        kept = {name: usual.as_json() for name in self._changed if (usual := self._usual.get(name)) is not None}
        self._changed.clear()
        self._gone.clear()
        return gone | kept

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            self._usual[name] = _Usual.kept(value)

    def _new(self, identity: str, at_s: float) -> _Usual:
        usual = self._usual[identity] = _Usual(at_s, -1, 0, 0, (_Levels(), _Levels()))
        if len(self._usual) > IDENTITIES_MAX:
            name, _ = self._usual.popitem(last=False)
            self._gone.add(name)
        return usual

    def _close(self, identity: str, usual: _Usual, span: int) -> Iterator[Finding]:
        """Judges a span that has ended, and begins this one."""
        if usual.span >= 0:
            # Spans without any traffic are as usual as others, so far as the last day.
            for quiet in range(max(usual.span + 1, span - int(DAY_S // SPAN_S)), span):
                for levels in usual.levels:
                    levels.learn(_hour(quiet), 0.0)
            at_s = (usual.span + 1) * SPAN_S
            for measure, count, levels in zip(MEASURES, (usual.messages, usual.octets), usual.levels, strict=True):
                finding = self._judged(identity, usual, at_s, measure, count, levels)
                if finding is None:
                    levels.learn(_hour(usual.span), log2(1 + count))
                else:
                    yield finding
            self._changed.add(identity)
        usual.span, usual.messages, usual.octets = span, 0, 0

    def _judged(
        self, identity: str, usual: _Usual, at_s: float, measure: str, count: int, levels: _Levels
    ) -> Finding | None:
        level, spread = levels.expected(_hour(usual.span))
        over = log2(1 + count) - level
        days = (at_s - usual.since_s) / DAY_S
        is_known = days >= self._days_known and count >= COUNT_MIN[measure]
        if not is_known or over <= max(DOUBLINGS_MIN, SPREADS_USUAL * spread):
            return None
        text = (
            f"identity {identity} sent {count:,} {measure} in 5 minutes, usually about {max(0, 2**level - 1):,.0f} at this "
            f"hour of the week"
        )
        score = min(95, self.score + int(4 * (over - DOUBLINGS_MIN)))
        return Finding(self.name, About.IDENTITY, identity, score, text, at_s, DENIAL_OF_SERVICE)


def _hour(span: int) -> int:
    """The hour of the week of a span; which day is the first does not matter."""
    return int(span * SPAN_S // HOUR_S) % HOURS
