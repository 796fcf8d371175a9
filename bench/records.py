"""What was measured, as it is kept: one line of JSON per run, the first about the machine and the brokers."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.plan import Figure

FAULTS = ("lost", "duplicated", "reordered", "corrupt", "wrong_qos", "protocol_errors")
"""What the generator counts of messages that were not delivered exactly as they were sent."""

BROKER_SAID = "; the broker said: "
"""In an error, between what the run saw and what the broker printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerNote:
    """A broker of the table, or one that could not be had."""

    name: str
    title: str
    source: str
    version: str
    remark: str
    missing: str | None = None
    """Why it could not be had here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of a file of results."""

    began: str
    commit: str
    machine: Mapping[str, str]
    brokers: tuple[BrokerNote, ...]
    seconds: float
    repeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run of one scenario on one broker."""

    scenario: str
    broker: str
    repetition: int
    error: str | None = None
    """Why there is no figure."""
    line: Mapping[str, Any] = field(default_factory=dict)
    """What the generator said, unchanged."""

    def figure(self, figure: Figure) -> float | None:
        """A number of the line; None where the run failed or has none."""
        if self.error is not None:
            return None
        value: Any = self.line
        for level in figure.path.split("."):
            value = value.get(level) if isinstance(value, Mapping) else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def faults(self) -> dict[str, int]:
        """Messages that were not delivered exactly as they were sent, by kind."""
        return {kind: int(self.line[kind]) for kind in FAULTS if self.line.get(kind)}


@dataclass(frozen=True, slots=True)
class Measured:
    """Repetitions of one figure."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)


def kind_of(reason: str) -> str:
    """What reasons have in common that differ by numbers, and by what the broker said, alone."""
    return re.sub(r"\d+", "", reason.partition(BROKER_SAID)[0])


@dataclass(frozen=True, slots=True)
class Results:
    """A whole file."""

    header: Header
    records: tuple[Record, ...]

    def measured(self, scenario: str, broker: str, figure: Figure) -> Measured | None:
        """The repetitions that gave a number; None if none did."""
        values = tuple(value for record in self._of(scenario, broker) if (value := record.figure(figure)) is not None)
        return Measured(values) if values else None

    def errors(self, scenario: str, broker: str) -> list[str]:
        """Why runs gave no number, each kind of reason once."""
        reasons: dict[str, str] = {}
        for record in self._of(scenario, broker):
            if record.error is not None:
                reasons.setdefault(kind_of(record.error), record.error)
        return list(reasons.values())

    def faults(self, scenario: str, broker: str) -> dict[str, int]:
        """Messages not delivered exactly, over all repetitions."""
        total: dict[str, int] = {}
        for record in self._of(scenario, broker):
            for kind, count in record.faults().items():
                total[kind] = total.get(kind, 0) + count
        return total

    def brokers(self) -> list[BrokerNote]:
        """Those that ran."""
        return [note for note in self.header.brokers if note.missing is None]

    def _of(self, scenario: str, broker: str) -> list[Record]:
        return [record for record in self.records if (record.scenario, record.broker) == (scenario, broker)]


def parse_line(text: str) -> dict[str, Any]:
    """The generator's line: the last of its output that is a JSON object; empty if there is none."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}


def append(file: Path, one: Header | Record) -> None:
    """Adds a line at once, so that what was measured survives whatever comes."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")


def write(file: Path, results: Results) -> None:
    """The whole file anew, which removes a last line that was cut short."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    for one in (results.header, *results.records):
        append(draft, one)
    draft.replace(file)


def read(file: Path) -> Results:
    """A file of results; a last line that was cut short is left out."""
    lines = file.read_text(encoding="utf-8").splitlines()
    raw: dict[str, Any] = json.loads(lines[0])
    raw["brokers"] = tuple(BrokerNote(**note) for note in raw["brokers"])
    header = Header(**raw)
    return Results(header, tuple(_records(lines[1:])))


def _records(lines: Iterable[str]) -> Iterable[Record]:
    for line in lines:
        try:
            raw = json.loads(line)
        except ValueError:
            return
        yield Record(**raw)
