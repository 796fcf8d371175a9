"""What Bartizan shall reach (demands.toml), and how far it is from it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plan import PlanError, Row
from bench.records import Results

DEMANDS = Path(__file__).with_name("demands.toml")
OWN = "bartizan"


@dataclass(frozen=True, slots=True)
class Bound:
    """A floor, or a ceiling where less is better."""

    times: float | None = None
    of: str | None = None
    row: str | None = None
    value: float | None = None

    def text(self) -> str:
        """As a reader finds it in the table."""
        if self.value is not None:
            return f"{self.value:g}"
        return f"{self.times:g} x {self.of}" + (f" {self.row}" if self.row else "")


@dataclass(frozen=True, slots=True)
class Demand:
    """Of one row."""

    row: str
    must: tuple[Bound, ...]
    stretch: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one bound was met. `reached` is None where a measurement is missing."""

    bound: Bound
    reached: bool | None
    share: float | None = None
    """What was reached as a share of the bound; above 1 is better than demanded, whatever the figure."""

    def text(self) -> str:
        """`reached (1.3 x)`, `missed (62 %)`, `not measured`."""
        if self.share is None:
            return "not measured"
        return f"reached ({self.share:.2f} x)" if self.reached else f"missed ({self.share:.0%} of it)"


def load_demands(file: Path = DEMANDS) -> tuple[tuple[Demand, ...], Mapping[str, str]]:
    """The demands, and those that this benchmark cannot measure with their reasons."""
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    demands = tuple(Demand(one["row"], _bounds(one["must"]), _bounds(one["stretch"])) for one in raw["demand"])
    return demands, {one["demand"]: one["reason"] for one in raw.get("unmeasured", ())}


def _bounds(raw: list[dict[str, Any]]) -> tuple[Bound, ...]:
    bounds = tuple(Bound(**one) for one in raw)
    for bound in bounds:
        if (bound.value is None) == (bound.times is None or bound.of is None):
            raise PlanError(f"a bound has a value, or times and of: {bound}")
    return bounds


def judge(results: Results, rows: Mapping[str, Row], row: Row, bound: Bound) -> Verdict:
    """How Bartizan met one bound in one row."""
    own = results.measured(row.scenario.name, OWN, row.figure)
    against = _target(results, rows, row, bound)
    if own is None or not own.median or not against:
        return Verdict(bound, None)
    share = own.median / against if row.figure.more_is_better else against / own.median
    return Verdict(bound, share >= 1.0, share)


def _target(results: Results, rows: Mapping[str, Row], row: Row, bound: Bound) -> float | None:
    """The number that the bound stands for."""
    if bound.value is not None:
        return bound.value
    other = rows[bound.row] if bound.row is not None else row
    measured = results.measured(other.scenario.name, bound.of or "", other.figure)
    return None if measured is None or bound.times is None else bound.times * measured.median
