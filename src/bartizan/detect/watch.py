"""Asks all detectors about each signal, and says the same thing once in a while. One that fails is told, and asked on."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from bartizan.detect.base import Detector, Remembering
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Signal

AGAIN_S = 300.0
"""What is found again within this time is said again only if it got worse."""

WORSE_POINTS = 10

TOLD_MAX = 10_000
"""Findings remembered as said; of more, the ones said last."""

FINDINGS_PER_DETECTOR_MAX = 20
"""Said one by one in `BUDGET_S` of each detector: more is one finding, which says how many."""

BUDGET_S = 60.0

MANY_POINTS = 10
"""Many of a kind are so much worse than one."""


class Watch:
    """All detectors of one broker."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        self._by_signal: dict[type[Signal], tuple[Detector, ...]] = {}
        self._told: OrderedDict[tuple[str, About, str], tuple[float, int]] = OrderedDict()
        self._budget_ends_s = float("-inf")
        self._said: Counter[str] = Counter()
        self._unsaid: dict[str, Finding] = {}
        self._failures: list[str] = []

    @property
    def remembering(self) -> tuple[tuple[str, Remembering], ...]:
        """Detectors that remember over a restart, by name."""
        return tuple((each.name, each) for each in self._detectors if isinstance(each, Remembering))

    def look(self, signals: Iterable[Signal]) -> list[Finding]:
        """What there is to say of these signals, which come in the order of time."""
        return [finding for signal in signals for finding in self._look(signal)]

    def take_failures(self) -> frozenset[str]:
        """What detectors failed by since the last time."""
        failures = frozenset(self._failures)
        self._failures.clear()
        return failures

    def _look(self, signal: Signal) -> Iterator[Finding]:
        if signal.at_s >= self._budget_ends_s:
            yield from self._close_budget(signal.at_s)
        for detector in self._wanting(type(signal)):
            try:
                found = list(detector.see(signal))
            except Exception as error:  # noqa: BLE001  a bug in one detector must not blind the others
                self._failures.append(f"detector {detector.name}: {type(error).__name__}: {error}")
                continue
            for finding in found:
                if self._is_news(finding):
                    yield from self._within_budget(finding)

    def _wanting(self, kind: type[Signal]) -> tuple[Detector, ...]:
        if kind not in self._by_signal:
            self._by_signal[kind] = tuple(each for each in self._detectors if kind in each.wants)
        return self._by_signal[kind]

    def _is_news(self, finding: Finding) -> bool:
        told = self._told.get(finding.key)
        if told is not None and finding.at_s - told[0] < AGAIN_S and finding.score < told[1] + WORSE_POINTS:
            return False
        self._told[finding.key] = (finding.at_s, finding.score)
        self._told.move_to_end(finding.key)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        return True

    def _within_budget(self, finding: Finding) -> Iterator[Finding]:
        self._said[finding.detector] += 1
        if self._said[finding.detector] <= FINDINGS_PER_DETECTOR_MAX:
            yield finding
        else:
            self._unsaid[finding.detector] = finding

    def _close_budget(self, at_s: float) -> Iterator[Finding]:
        for detector, last in self._unsaid.items():
            more = self._said[detector] - FINDINGS_PER_DETECTOR_MAX
            text = f"{more:,} more findings of {detector} within a minute, the last one: {last.text}"
            score = min(100, last.score + MANY_POINTS)
            yield Finding(detector, About.BROKER, "", score, text, at_s, last.technique)
        self._said.clear()
        self._unsaid.clear()
        self._budget_ends_s = at_s + BUDGET_S
