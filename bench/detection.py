"""How much of what happens to a simulated plant its detectors find, how soon, and what they tell for nothing.

    .venv/bin/python -m bench.detection --weeks 5
    .venv/bin/python -m bench.detection --weeks 5 --markdown

Each week is that of another plant, by a seed of its own; it takes a minute or two.

The plant's own detectors with their own thresholds, in the time of the simulation: a month is seconds. A finding of the
week that counts is of an attack or a fault if it is about one of its names while it goes on; else it is a false alarm.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from heapq import merge
from statistics import median

from bartizan.config.detect import DetectSettings
from bartizan.detect.builtin import builtin_detectors
from bartizan.detect.watch import BUDGET_S, Watch
from bartizan.model.finding import Finding, Severity
from bartizan.model.signal import Signal, Tick
from bench.attacks import ATTACKS, DECOY_IDENTITY, DECOY_TOPIC, EACH, attacks
from bench.insiders import INSIDERS
from bench.plant import DEVICES, Happening, Plant
from bench.traffic import Life

SETTINGS = DetectSettings(decoy_identities=(DECOY_IDENTITY,), decoy_topics=(f"{DECOY_TOPIC}/#",))
LATE_S = BUDGET_S
"""What is told by its number is told so much later."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one week."""

    found: dict[Happening, tuple[Finding, ...]]
    """Of each happening what was found of it, the first one first."""
    false: tuple[Finding, ...]
    findings: int
    signals: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What became of all happenings of one kind."""

    name: str
    is_attack: bool
    found: int
    of: int
    after_s: float | None
    """The median, of those that were found."""
    by: tuple[str, ...]


def run(seed: int, devices: int = DEVICES, each: int = EACH) -> Judged:
    """One month of one plant, the last week of which counts."""
    plant, kinds_of_attack = Plant(seed, devices), {**ATTACKS, **INSIDERS}
    life = Life(plant, seed)
    happenings = [*plant.faults(), *attacks(plant, seed, each, kinds_of_attack), *life.outages()]
    signals: list[Signal] = [*plant.ordinary(), *life.topics()]
    signals += [signal for happening in happenings for signal in happening.signals]
    signals += [Tick(at_s=at_s) for at_s in plant.minutes()]
    signals.sort(key=_at)
    count = Counting(merge(signals, life.traffic(), key=_at))
    watch = Watch(builtin_detectors(SETTINGS))
    findings = [finding for finding in watch.look(count) if finding.at_s >= plant.week_s]
    return judge([each for each in happenings if each.start_s >= plant.week_s], findings, count.count)


def _at(signal: Signal) -> float:
    return signal.at_s


class Counting:
    """Signals, and how many there were: more than memory is good for."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self._signals = signals
        self.count = 0

    def __iter__(self) -> Iterator[Signal]:
        """Each of them once."""
        for signal in self._signals:
            self.count += 1
            yield signal


def judge(happenings: Sequence[Happening], findings: Sequence[Finding], signals: int) -> Judged:
    """Which finding is of which happening."""
    found: dict[Happening, list[Finding]] = {happening: [] for happening in happenings}
    false: list[Finding] = []
    for finding in findings:
        of = [each for each in happenings if _is_of(finding, each)]
        for each in of:
            found[each].append(finding)
        if not of:
            false.append(finding)
    kept = {happening: tuple(each) for happening, each in found.items()}
    return Judged(kept, tuple(false), len(findings), signals)


def _is_of(finding: Finding, happening: Happening) -> bool:
    return finding.name in happening.names and happening.start_s <= finding.at_s <= happening.end_s + LATE_S


def kinds(weeks: Sequence[Judged]) -> list[Kind]:
    """All kinds, attacks first."""
    found = [pair for week in weeks for pair in week.found.items()]
    names = sorted({(not each.is_attack, each.kind) for each, _ in found})
    return [_kind(name, [(each, of) for each, of in found if each.kind == name]) for _, name in names]


def _kind(name: str, found: Sequence[tuple[Happening, tuple[Finding, ...]]]) -> Kind:
    after = [of[0].at_s - each.start_s for each, of in found if of]
    by = sorted({finding.detector for _, of in found for finding in of})
    is_attack = any(each.is_attack for each, _ in found)
    return Kind(name, is_attack, len(after), len(found), round(median(after), 1) if after else None, tuple(by))


def as_dict(weeks: Sequence[Judged]) -> dict[str, object]:
    """For machines."""
    every = kinds(weeks)
    false = [each for week in weeks for each in week.false]
    return {
        "weeks": len(weeks),
        "attacks": sum(kind.of for kind in every if kind.is_attack),
        "attacks_found": sum(kind.found for kind in every if kind.is_attack),
        "false_alarms": len(false),
        "false_alarms_high": sum(each.severity in {Severity.HIGH, Severity.CRITICAL} for each in false),
        "findings": sum(week.findings for week in weeks),
        "signals": sum(week.signals for week in weeks),
        "kinds": [asdict(kind) for kind in every],
        "false_by_detector": dict(Counter(each.detector for each in false)),
    }


def markdown(weeks: Sequence[Judged]) -> str:
    """For docs/reference/detectors.md."""
    rows = ["| what happens | found | after | by |", "|---|---|---|---|"]
    for kind in kinds(weeks):
        after = "" if kind.after_s is None else f"{kind.after_s:,.0f} s"
        title = kind.name if kind.is_attack else f"fault: {kind.name}"
        rows.append(f"| {title} | {kind.found} of {kind.of} | {after} | {', '.join(f'`{name}`' for name in kind.by)} |")
    rows += ["", f"| told for nothing | severity | in {len(weeks)} weeks |", "|---|---|---|"]
    false = Counter((each.detector, each.severity) for week in weeks for each in week.false)
    rows += [f"| `{detector}` | {severity} | {count} |" for (detector, severity), count in sorted(false.items())]
    return "\n".join(rows)


def main() -> None:
    """Prints what became of some weeks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first week")
    parser.add_argument("--weeks", type=int, default=1)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--each", type=int, default=EACH, help="attacks of each kind in a week")
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    weeks = [run(asked.seed + number, asked.devices, asked.each) for number in range(asked.weeks)]
    print(markdown(weeks) if asked.markdown else json.dumps(as_dict(weeks), indent=1))


if __name__ == "__main__":
    main()
