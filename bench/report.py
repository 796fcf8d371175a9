"""The results as a page: one table of medians, demands, what went wrong, every figure with its spread, charts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.chart import Bar, Panel, render, short
from bench.demands import OWN, Demand, Verdict, judge, load_demands
from bench.plan import Row, Scenario, load_scenarios
from bench.records import BrokerNote, Measured, Results, kind_of

LIMIT = "relay"
REFERENCE = "mosquitto"
NOTHING = "–"  # noqa: RUF001  a cell without a figure
INTRODUCTION = """\
Broker on one core, load generator on another, every broker started anew for every run, repetitions interleaved over
brokers. Figures are medians. *Per CPU-second* counts delivered messages per second of processor time (user and system)
of all the broker's processes. Every message is verified; † marks figures of runs in which messages were lost,
duplicated, reordered, corrupt, or of the wrong QoS. *Limit* is a relay that copies messages and does nothing else.
What a broker cannot do, or failed to do, is named below the figures.
"""


class Report:
    """One file of results, looked at row by row."""

    def __init__(self, results: Results, scenarios: Sequence[Scenario]) -> None:
        ran = {record.scenario for record in results.records}
        self.results = results
        self.every = {row.name: row for scenario in scenarios for row in scenario.rows()}
        self.rows = [row for scenario in scenarios if scenario.name in ran for row in scenario.rows()]
        self.brokers = results.brokers()
        self.demands, self.unmeasured = load_demands()
        self.demand_of: Mapping[str, Demand] = {demand.row: demand for demand in self.demands}

    def groups(self) -> dict[str, list[Row]]:
        """Rows under their headings."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.scenario.group, []).append(row)
        return groups

    def measured(self, row: Row, broker: str) -> Measured | None:
        """The repetitions of one figure."""
        return self.results.measured(row.scenario.name, broker, row.figure)

    def cell(self, row: Row, broker: str) -> str:
        """A median, marked if the run was flawed."""
        measured = self.measured(row, broker)
        if measured is None:
            return NOTHING
        return short(measured.median, is_time=row.figure.is_time) + (
            " †" if self.results.faults(row.scenario.name, broker) else ""
        )

    def verdicts(self, row: Row) -> tuple[list[Verdict], list[Verdict]]:
        """Must and stretch."""
        demand = self.demand_of.get(row.name)
        if demand is None:
            return [], []
        judged = [
            [judge(self.results, self.every, row, bound) for bound in part] for part in (demand.must, demand.stretch)
        ]
        return judged[0], judged[1]

    def text(self, charts: Mapping[str, str]) -> str:
        """The whole page."""
        parts = [*self._head(), *self._overview(), *self._demands(), *self._flaws(), *self._gaps()]
        for group, rows in self.groups().items():
            parts += ["", f"## {group}", "", f"![{group}]({charts[group]})", ""]
            for row in rows:
                parts += self._detail(row)
        return "\n".join([*parts, *self._brokers(), ""])

    def _head(self) -> Iterable[str]:
        header = self.results.header
        yield f"# Benchmark of {header.began}"
        yield ""
        yield from INTRODUCTION.splitlines()
        yield ""
        yield f"- commit: {header.commit}"
        yield from (f"- {key}: {value}" for key, value in header.machine.items())
        yield from self._repetitions()

    def _repetitions(self) -> Iterable[str]:
        """How often all was measured, and what was less often."""
        counts = Counter((record.scenario, record.broker) for record in self.results.records)
        most = max(counts.values(), default=0)
        yield f"- {most} repetitions of {self.results.header.seconds:g} s each, after a warm-up"
        every = self.scenarios()
        fewer: dict[tuple[int, str], list[str]] = {}
        for note in self.brokers:
            for count in sorted({counts[scenario, note.name] for scenario in every} - {0, most}):
                names = [scenario for scenario in every if counts[scenario, note.name] == count]
                of = "everything" if names == every else ", ".join(names)
                fewer.setdefault((count, of), []).append(note.title)
        for (count, of), titles in fewer.items():
            yield f"- {count} of {of}: {', '.join(titles)}"

    def _overview(self) -> Iterable[str]:
        yield from ("", "## All medians", "")
        yield from table(
            ["", *(note.title for note in self.brokers)],
            ([f"{row.title} ({row.name})", *(self.cell(row, note.name) for note in self.brokers)] for row in self.rows),
        )

    def _demands(self) -> Iterable[str]:
        if self.measured_own() is False:
            return
        yield from ("", "## What is demanded of Bartizan", "")
        cells = []
        for row in self.rows:
            must, stretch = self.verdicts(row)
            if must or stretch:
                cells.append([row.name, self.cell(row, OWN), verdicts_text(must), verdicts_text(stretch)])
        cells += [[demand, NOTHING, f"not measured: {reason}", ""] for demand, reason in self.unmeasured.items()]
        yield from table(["", "Bartizan", "must", "stretch"], cells)

    def measured_own(self) -> bool:
        """Whether Bartizan took part."""
        return any(self.measured(row, OWN) is not None for row in self.rows)

    def _flaws(self) -> Iterable[str]:
        cells = [
            [note.title, scenario, ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in faults.items())]
            for note in self.brokers
            for scenario in self.scenarios()
            if (faults := self.results.faults(scenario, note.name))
        ]
        yield from ("", "## Messages not delivered exactly as sent", "")
        if cells:
            yield from table(["", "scenario", "over all repetitions"], cells)
        else:
            yield "None, by no broker in no run."

    def _gaps(self) -> Iterable[str]:
        cells: list[list[str]] = []
        for note in self.brokers:
            alike: dict[str, tuple[str, list[str]]] = {}
            for scenario in self.scenarios():
                for reason in self.results.errors(scenario, note.name):
                    alike.setdefault(kind_of(reason), (reason, []))[1].append(scenario)
            cells += [[note.title, one_line(reason), ", ".join(names)] for reason, names in alike.values()]
        if cells:
            yield from ("", "## Runs without a figure", "")
            yield from table(["", "reason", "scenarios"], cells)

    def scenarios(self) -> list[str]:
        """Names of those that ran."""
        return list(dict.fromkeys(row.scenario.name for row in self.rows))

    def _detail(self, row: Row) -> Iterable[str]:
        reference, limit = self.measured(row, REFERENCE), self.measured(row, LIMIT)
        cells = []
        for note in self.ranked(row):
            measured = self.measured(row, note.name)
            if measured is not None:
                low, high = (short(value, is_time=row.figure.is_time) for value in (measured.low, measured.high))
                ratios = [ratio(measured, reference, "{:.2f} x"), ratio(measured, limit, "{:.1%}")]
                cells.append([note.title, self.cell(row, note.name), f"{low} .. {high}", *ratios])
        if cells:
            yield from ("", f"### {row.name}", "", f"{row.scenario.title}, {row.figure.unit}", "")
            yield from table(["", "median", "min .. max", f"x {REFERENCE}", "of the limit"], cells)

    def ranked(self, row: Row) -> list[BrokerNote]:
        """Brokers with a figure, the best first."""
        found = [(measured.median, note) for note in self.brokers if (measured := self.measured(row, note.name))]
        found.sort(key=lambda pair: pair[0], reverse=row.figure.more_is_better)
        return [note for _, note in found]

    def _brokers(self) -> Iterable[str]:
        yield from ("", "## The brokers", "")
        cells = []
        for note in self.results.header.brokers:
            remark = f"not measured: {one_line(note.missing)}" if note.missing is not None else note.remark
            cells.append([note.title, note.version, note.source, remark])
        yield from table(["", "version", "from", ""], cells)

    def panel(self, row: Row) -> Panel:
        """The chart of one row."""
        reference = self.measured(row, REFERENCE)
        bars = []
        for note in self.ranked(row):
            measured = self.measured(row, note.name)
            if measured is None:
                continue
            beside = ratio(measured, reference, "{:.3g}x") if note.name != REFERENCE else ""
            bars.append(
                Bar(
                    name=note.title,
                    median=measured.median,
                    low=measured.low,
                    high=measured.high,
                    beside="" if beside == NOTHING else beside,
                    is_own=note.name == OWN,
                    is_limit=note.name == LIMIT,
                    is_flawed=bool(self.results.faults(row.scenario.name, note.name)),
                )
            )
        silent = [note.title for note in self.brokers if self.measured(row, note.name) is None]
        return Panel(
            title=row.scenario.title,
            unit=row.figure.unit,
            bars=tuple(bars),
            more_is_better=row.figure.more_is_better,
            is_time=row.figure.is_time,
            must=self._must(row),
            notes=(f"no figure: {', '.join(silent)}",) if silent else (),
        )

    def _must(self, row: Row) -> float | None:
        """The hardest of the bounds, as a value."""
        own = self.measured(row, OWN)
        shares = [verdict.share for verdict in self.verdicts(row)[0] if verdict.share is not None]
        if own is None or not shares:
            return None
        return own.median / min(shares) if row.figure.more_is_better else own.median * min(shares)


def ratio(measured: Measured, other: Measured | None, form: str) -> str:
    """A quotient of medians."""
    return NOTHING if other is None or not other.median else form.format(measured.median / other.median)


def verdicts_text(verdicts: Sequence[Verdict]) -> str:
    """Every bound with what came of it."""
    return "; ".join(f"{verdict.bound.text()}: **{verdict.text()}**" for verdict in verdicts) or NOTHING


def one_line(words: str, most: int = 200) -> str:
    """Text that fits into a cell."""
    flat = " ".join(words.replace("|", "/").split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Markdown."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def write_report(results: Results, file: Path) -> Path:
    """Writes the page and, beside it, a chart for every group."""
    report = Report(results, load_scenarios())
    header = results.header
    charts: dict[str, str] = {}
    for group, rows in report.groups().items():
        name = f"{file.stem}-{group.split()[0].strip(':,').lower()}.svg"
        machine = ", ".join(header.machine.get(key, "") for key in ("processor", "kernel"))
        subtitle = (
            f"{header.began}, commit {header.commit}, {machine} (cores: {header.machine.get('cores', '')}), loopback. "
            "Medians with least and greatest repetition, logarithmic scale. Hatched: messages lost, doubled, reordered. "
            f"1.5x: times {REFERENCE}."
        )
        panels = [report.panel(row) for row in rows]
        file.with_name(name).write_text(render(group, subtitle, panels), encoding="utf-8")
        charts[group] = name
    file.write_text(report.text(charts), encoding="utf-8")
    return file
