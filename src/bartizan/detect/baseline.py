"""More than an identity's own usual traffic: messages and octets in five minutes, beside those of the same hour of the week.

What is usual is a level for each of the 168 hours of a week, and how far it goes up and down, both as logarithms: twice as
much is as far for a meter as for a gateway. Each five minutes move a level a little, and what is far off moves it no more
than what is near: neither a standstill nor a flood becomes usual in a day. Beside the level stands the most that there was at
this hour of the week, for a batch that comes once in each: it is forgotten slowly. What is found is neither. How long
messages are has one level for all hours.
"""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log2
from typing import Any, NamedTuple, Self

SPAN_S = 300.0
DAY_S = 86_400.0
HOUR_S = 3_600.0
HOURS = 168

MEASURES = ("messages", "octets", "longest")
CELLS = (HOURS, HOURS, 1)
COUNT_MIN = (120, 262_144, 32_768)
"""In one span: less harms nobody."""

STEP = 2_048.0
"""So many steps are a factor of two."""

STEPS_MAX = 65_535
SEEN_MAX = 255
LEVEL_WEIGHT = 0.05
FAR_DOUBLINGS = 2.0
"""What is further off counts as this far."""

SPREADS_USUAL = 3.0
DOUBLINGS_MIN = 2.0
"""What is not four times as much is nothing, however even the traffic was before."""

PEAK_DOUBLINGS = 1.0
"""What is not twice as much as ever at this hour of the week, or the one before or after it, is nothing either."""

PEAK_LOSS_DOUBLINGS = 0.04
"""With each five minutes: half as much in two weeks."""

AT_ONCE_DOUBLINGS = 2.0
"""So much more than what is found at the end of a span is found before it ends."""

SEEN_FEW = 12
SEEN_MIN = 24
"""Of an hour of the week so many spans have to be known (two weeks): before, the busiest known hour counts."""


class _Levels:
    """What is usual of one measure: level, spread, the most, and how often seen, of each cell."""

    __slots__ = ("_levels", "_peaks", "_seen", "_spreads")

    def __init__(self, cells: int, octets: bytes = b"") -> None:
        if len(octets) != 7 * cells:
            octets = bytes(7 * cells)
        self._levels, self._spreads = array("H", octets[: 2 * cells]), array("H", octets[2 * cells : 4 * cells])
        self._peaks, self._seen = array("H", octets[4 * cells : 6 * cells]), bytearray(octets[6 * cells :])

    def level(self, hour: int) -> float:
        """What is about usual, in doublings."""
        return self._levels[self._cell(hour)] / STEP

    def bound(self, hour: int) -> float:
        """What is more than usual, in doublings."""
        cell = self._cell(hour)
        level, spread = self._levels[cell] / STEP, self._spreads[cell] / STEP
        most = max(self._peaks[at % len(self._peaks)] for at in (cell, hour - 1, hour, hour + 1))
        return max(level + max(DOUBLINGS_MIN, SPREADS_USUAL * spread), most / STEP + PEAK_DOUBLINGS)

    def learn(self, hour: int, doublings: float, *, is_usual: bool = True) -> None:
        """So it was. What is not usual says nothing of how far what is usual goes up and down."""
        cell = hour % len(self._levels)
        seen, level, spread = self._seen[cell], self._levels[cell] / STEP, self._spreads[cell] / STEP
        weight = max(LEVEL_WEIGHT, 1 / (seen + 1))
        away = doublings - level
        if seen >= SEEN_FEW:
            away = max(-FAR_DOUBLINGS, min(FAR_DOUBLINGS, away))
        self._levels[cell] = min(STEPS_MAX, round((level + weight * away) * STEP))
        # The longest message of all times is never forgotten: it has one cell.
        peak = self._peaks[cell] / STEP - (PEAK_LOSS_DOUBLINGS if len(self._peaks) > 1 else 0.0)
        if is_usual:
            self._spreads[cell] = min(STEPS_MAX, round((spread + weight * (abs(away) - spread)) * STEP)) if seen else 0
            peak = max(peak, doublings)
        self._peaks[cell] = max(0, min(STEPS_MAX, round(peak * STEP)))
        self._seen[cell] = min(SEEN_MAX, seen + 1)

    def text(self) -> str:
        """For the disk."""
        arrays = (self._levels, self._spreads, self._peaks)
        return b64encode(b"".join(each.tobytes() for each in arrays) + self._seen).decode()

    def _cell(self, hour: int) -> int:
        cell = hour % len(self._levels)
        if self._seen[cell] < SEEN_MIN:
            return max(range(len(self._levels)), key=self._levels.__getitem__)
        return cell


class Excess(NamedTuple):
    """How much more than usual it was."""

    measure: str
    count: int
    level: float
    over: float
    """Beyond the level, in doublings."""
    within_s: float


@dataclass(slots=True)
class Usual:
    """What one identity usually sends."""

    since_s: float
    levels: tuple[_Levels, ...] = field(default_factory=lambda: tuple(_Levels(cells) for cells in CELLS))
    span: int = -1
    """The five minutes that are counted now; before the first ones, -1."""
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    bounds: tuple[float, ...] = (inf, inf, inf)
    """What is found at once."""
    told_s: float = -inf
    told_over: float = 0.0

    @classmethod
    def kept(cls, value: Mapping[str, Any]) -> Self:
        """As it was written."""
        kept = [_Levels(cells, b64decode(value.get(name, ""))) for name, cells in zip(MEASURES, CELLS, strict=True)]
        return cls(float(value["since_s"]), tuple(kept))

    def as_json(self) -> dict[str, object]:
        """To be written."""
        texts = {name: levels.text() for name, levels in zip(MEASURES, self.levels, strict=True)}
        return {"since_s": self.since_s, **texts}

    def begin(self, span: int, days_known: float) -> None:
        """Counts another span."""
        self.span, self.counts = span, [0, 0, 0]
        self.bounds = (inf, inf, inf)
        if self._is_known(days_known):
            self.bounds = tuple(self._at_once(at, hour_of(span)) for at in range(len(MEASURES)))

    def add(self, publishes: int, octets: int, longest: int) -> bool:
        """What it sent; whether that is so much that it is found at once."""
        counts, bounds = self.counts, self.bounds
        counts[0] += publishes
        counts[1] += octets
        counts[2] = max(counts[2], longest)
        return counts[0] > bounds[0] or counts[1] > bounds[1] or counts[2] > bounds[2]

    def excess(self, days_known: float, within_s: float) -> Excess | None:
        """What is the furthest over what is usual, of what was counted in this span."""
        if not self._is_known(days_known):
            return None
        found = [self._excess(at, within_s) for at in range(len(MEASURES))]
        return max((each for each in found if each is not None), key=lambda each: each.over, default=None)

    def learn(self, until: int, days_known: float) -> None:
        """What was counted is known from now on, and that there was nothing until this span, for the last day at most."""
        is_known = self._is_known(days_known)
        for at, levels in enumerate(self.levels):
            if at == len(MEASURES) - 1 and not self.counts[at]:
                continue
            is_usual = not is_known or self._excess(at, SPAN_S) is None
            levels.learn(hour_of(self.span), log2(1 + self.counts[at]), is_usual=is_usual)
        for quiet in range(max(self.span + 1, until - int(DAY_S // SPAN_S)), until):
            for levels in self.levels[:-1]:
                levels.learn(hour_of(quiet), 0.0)

    def _is_known(self, days_known: float) -> bool:
        return self.span * SPAN_S - self.since_s >= days_known * DAY_S

    def _excess(self, at: int, within_s: float) -> Excess | None:
        count = self.counts[at]
        if count < COUNT_MIN[at]:
            return None
        levels, hour, doublings = self.levels[at], hour_of(self.span), log2(1 + count)
        if doublings <= levels.bound(hour):
            return None
        level = levels.level(hour)
        return Excess(MEASURES[at], count, level, doublings - level, within_s)

    def _at_once(self, at: int, hour: int) -> float:
        return max(COUNT_MIN[at], 2 ** (self.levels[at].bound(hour) + AT_ONCE_DOUBLINGS))


def hour_of(span: int) -> int:
    """The hour of the week of a span; which day is the first does not matter."""
    return int(span * SPAN_S // HOUR_S) % HOURS
