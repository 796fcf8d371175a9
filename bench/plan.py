"""What is measured: scenarios from scenarios.toml, and the figures that are reported of each."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rivals.base import Variant

SCENARIOS = Path(__file__).with_name("scenarios.toml")
KEYS = {"name", "group", "title", "load", "mqtt", "variant", "arguments", "figures"}


class PlanError(Exception):
    """The table of scenarios or the selection from it is wrong."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a run's line."""

    name: str
    path: str
    """Where it stands in the generator's line, levels divided by dots."""
    unit: str
    more_is_better: bool
    is_time: bool = False
    """Microseconds, shown in the unit that suits."""


FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("rate", "per_cpu_s", "per CPU-second", more_is_better=True),
        Figure("wall", "per_s", "per second", more_is_better=True),
        Figure("p50", "latency_us.p50", "latency, p50", more_is_better=False, is_time=True),
        Figure("p99", "latency_us.p99", "latency, p99", more_is_better=False, is_time=True),
        Figure("ack_p50", "ack_latency_us.p50", "time to PUBACK, p50", more_is_better=False, is_time=True),
        Figure("ack_p99", "ack_latency_us.p99", "time to PUBACK, p99", more_is_better=False, is_time=True),
        Figure("memory", "memory.each_bytes", "bytes each", more_is_better=False),
        Figure("setup", "setup.per_cpu_s", "subscribed per CPU-second", more_is_better=True),
    )
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is done to every broker."""

    name: str
    group: str
    title: str
    load: str
    mqtt: str
    variant: Variant
    arguments: tuple[str, ...]
    figures: tuple[Figure, ...]

    def rows(self) -> tuple["Row", ...]:
        """What is reported of it."""
        return tuple(Row(self, figure) for figure in self.figures)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: a figure of a scenario."""

    scenario: Scenario
    figure: Figure

    @property
    def name(self) -> str:
        """As demands.toml calls it."""
        several = len(self.scenario.figures) > 1
        return f"{self.scenario.name}:{self.figure.name}" if several else self.scenario.name

    @property
    def title(self) -> str:
        """For people."""
        several = len(self.scenario.figures) > 1
        return f"{self.scenario.title}, {self.figure.unit}" if several else self.scenario.title


def load_scenarios(file: Path = SCENARIOS) -> tuple[Scenario, ...]:
    """The whole table, in its order."""
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    scenarios = tuple(_scenario(one) for one in raw["scenario"])
    names = [scenario.name for scenario in scenarios]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlanError(f"{file.name}: twice: {', '.join(twice)}")
    return scenarios


def _scenario(raw: Mapping[str, Any]) -> Scenario:
    unknown = set(raw) - KEYS
    if unknown:
        raise PlanError(f"scenario {raw.get('name')}: unknown: {', '.join(sorted(unknown))}")
    try:
        return Scenario(
            name=raw["name"],
            group=raw["group"],
            title=raw["title"],
            load=raw.get("load", raw["name"]),
            mqtt=raw.get("mqtt", "3.1.1"),
            variant=Variant(raw.get("variant", "plain")),
            arguments=tuple(raw.get("arguments", ())),
            figures=tuple(FIGURES[name] for name in raw.get("figures", ("rate",))),
        )
    except (KeyError, ValueError) as error:
        raise PlanError(f"scenario {raw.get('name')}: {error}") from None


def chosen(kind: str, known: Iterable[str], wanted: str | None) -> list[str]:
    """Names out of a list divided by commas, in the table's order; all if none is given."""
    every = list(known)
    if wanted is None:
        return every
    asked = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in asked:
        if name not in every:
            raise PlanError(f"there is no {kind} {name}: {', '.join(every)}")
    return [name for name in every if name in asked]
