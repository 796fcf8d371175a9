"""A detector that counts: so many of something, or so many different ones, by one identity or address, within a span."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import log2

from bartizan.detect.counting import Counts, Spreads
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Signal

SCORE_MAX = 95
"""No number is as certain as a decoy."""

POINTS_PER_DOUBLING = 8
"""What is twice as much is so much worse."""

SPREAD_FACTOR = 4

GOING_ON = 10
"""So many times less than is usual for the span, in the last fifth of it, is one more of what is over."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one signal adds to a rule."""

    about: About
    name: str
    count: int = 1
    value: str = ""
    """What is told apart, where a rule counts how many different ones there are."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is counted, how much of it is too much, and what is said of that."""

    name: str
    wants: tuple[type[Signal], ...]
    counted: Callable[[Signal], Iterable[Counted]]
    most: int
    """So many are usual; one more is found."""
    within_s: float
    text: str
    """With {count}, as in "{count} logins failed": who stands before it, and within what time behind it."""
    score: int
    technique: str = ""
    different: bool = False
    """Whether different values count, not how often."""


class Counting:
    """The detector of one rule."""

    def __init__(self, rule: Rule) -> None:
        self.name = rule.name
        self.wants = rule.wants
        self.rule = rule
        self._counts: Counts[tuple[About, str]] = Counts(rule.within_s)
        # So many times as many as are found, so that a finding can get worse; more would cost memory and say nothing.
        self._told_apart_max = SPREAD_FACTOR * rule.most + 1
        self._spreads: Spreads[tuple[About, str]] = Spreads(rule.within_s, self._told_apart_max)

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        rule = self.rule
        for more in rule.counted(signal):
            key = (more.about, more.name)
            if rule.different:
                count, latest = self._spreads.add(key, signal.at_s, more.value)
            else:
                count, latest = self._counts.add(key, signal.at_s, more.count)
            # What was and is over is not said again because of one more, long after.
            if count > rule.most and latest >= max(1, rule.most // GOING_ON):
                yield Finding(
                    rule.name,
                    more.about,
                    more.name,
                    _score(rule, count),
                    self._sentence(key, count),
                    signal.at_s,
                    rule.technique,
                )

    def _sentence(self, key: tuple[About, str], count: int) -> str:
        rule = self.rule
        # Of different ones it is not known how many more there are than are remembered.
        at_least = "at least " if rule.different and count >= self._told_apart_max else ""
        said = rule.text.format(count=f"{at_least}{count:,}")
        return f"{who(*key)}: {said} in {span(rule.within_s)}, more than {rule.most:,}"


def _score(rule: Rule, count: int) -> int:
    return min(SCORE_MAX, rule.score + int(POINTS_PER_DOUBLING * log2(count / max(1, rule.most))))


def who(about: About, name: str) -> str:
    """As a sentence begins with it."""
    if about is About.BROKER:
        return "clients of many addresses"
    return f"{about} {name or '(a Unix socket)'}" if about is not About.TARGET else f"identity {name}"


def span(within_s: float) -> str:
    """A time as people say it."""
    for length_s, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if within_s >= length_s and within_s % length_s == 0:
            number = int(within_s // length_s)
            return f"{number} {word}{'s' if number != 1 else ''}"
    return f"{within_s:g} s"
