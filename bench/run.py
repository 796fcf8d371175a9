"""Runs the table: scenario by scenario, broker by broker, again and again, and writes what came of it.

    make bench
    make bench ARGS="--only p1_q0_16,sparse_q0 --brokers bartizan,mosquitto --repeat 3 --seconds 3"
    make bench ARGS="--resume bench/results/2026-12-01.jsonl"
    make bench ARGS="--render bench/results/2026-12-01.jsonl"

Every broker is started anew for every run, on one core; the generator has the other. Repetitions are the
outermost loop, so that what slows the machine for a while slows all brokers. Ctrl-C keeps what is measured.
"""

import argparse
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from bench.chart import short
from bench.generator import Generator
from bench.machine import commit, describe
from bench.plan import PlanError, Scenario, chosen, load_scenarios
from bench.process import Running, StartError
from bench.records import BROKER_SAID, BrokerNote, Header, Record, append, read, write
from bench.report import write_report
from bench.rivals import NOT_MEASURED, Rival, UnobtainableError, rivals
from bench.rivals.bartizan import CHECKOUT, GENERATOR
from bench.stage import Stage

PLACE = CHECKOUT / ".bench"
RESULTS = CHECKOUT / "bench/results"
HOPELESS = 2
"""A broker that failed a scenario so many times in a row is not asked again."""
GUESS_S = 6.0
"""Starting and stopping a broker, before that is known better."""

Key = tuple[int, str, str]
"""Repetition, scenario, broker."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run that is to be done."""

    repetition: int
    scenario: Scenario
    rival: Rival

    def refusal(self) -> str | None:
        """Why it cannot be done at all."""
        return self.rival.refusal(self.scenario.variant, self.scenario.mqtt, self.scenario.load)

    @property
    def key(self) -> Key:
        """What no two turns have in common."""
        return (self.repetition, self.scenario.name, self.rival.name)


@dataclass(slots=True)
class Session:
    """All turns of one call, and what they said."""

    stage: Stage
    generator: Generator
    file: Path
    seconds: float
    turns: tuple[Turn, ...]
    failures: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self) -> None:
        """Every turn, each kept at once."""
        begun = time.monotonic()
        for number, turn in enumerate(self.turns):
            record = self._turn(turn)
            append(self.file, record)
            done = number + 1
            each_s = (time.monotonic() - begun) / done
            tell(turn, record, f"[{done}/{len(self.turns)}]", each_s * (len(self.turns) - done))

    def _turn(self, turn: Turn) -> Record:
        scenario, rival = turn.scenario, turn.rival
        key = (scenario.name, rival.name)
        refusal = turn.refusal()
        if refusal is not None:
            return Record(scenario=key[0], broker=key[1], repetition=turn.repetition, error=refusal)
        if self.failures.get(key, 0) >= HOPELESS:
            error = f"not tried again after it failed {HOPELESS} times"
            return Record(scenario=key[0], broker=key[1], repetition=turn.repetition, error=error)
        record = self._measured(turn)
        self.failures[key] = self.failures.get(key, 0) + 1 if record.error is not None else 0
        return record

    def _measured(self, turn: Turn) -> Record:
        scenario, rival = turn.scenario, turn.rival
        try:
            with self.stage.broker(rival, scenario.variant, scenario.mqtt) as (one, door):
                line, error = self.generator.run(
                    scenario,
                    door,
                    one.pids(),
                    label=rival.name,
                    seconds=self.seconds,
                    warm_up_s=rival.warm_up_s,
                    directory=self.stage.place,
                )
                error = explained(error, one)
        except (StartError, UnobtainableError, OSError) as wrong:
            return Record(scenario=scenario.name, broker=rival.name, repetition=turn.repetition, error=str(wrong))
        return Record(scenario=scenario.name, broker=rival.name, repetition=turn.repetition, error=error, line=line)


def explained(error: str | None, broker: Running) -> str | None:
    """What ended a run early, and what the broker itself says about it."""
    if error is None:
        return None
    if not broker.is_alive():
        return f"the broker ended during the run: {broker.last_words()}"
    complaint = broker.complaint()
    return error if complaint is None else f"{error}{BROKER_SAID}{complaint}"


def tell(turn: Turn, record: Record, progress: str, left_s: float) -> None:
    """One line for whoever waits."""
    figure = turn.scenario.figures[0]
    value = record.figure(figure)
    said = (
        f"{short(value, is_time=figure.is_time):>8} {figure.unit}"
        if value is not None
        else f"  - {record.error or 'no figure'}"
    )
    faults = ", ".join(f"{count} {kind}" for kind, count in record.faults().items())
    left = f"{left_s / 60:.0f} min left" if left_s >= 90 else f"{left_s:.0f} s left"
    name = f"{turn.scenario.name:20} {turn.rival.name:10}"
    print(f"{progress:>10} {name} {said[:90]}{'  FAULTS: ' + faults if faults else ''}  ({left})", flush=True)


def turns(scenarios: Sequence[Scenario], brokers: Sequence[Rival], repeat: int) -> Iterator[Turn]:
    """Repetitions outermost, brokers innermost, another one first each time."""
    for repetition in range(repeat):
        start = repetition % max(1, len(brokers))
        for scenario in scenarios:
            for rival in (*brokers[start:], *brokers[:start]):
                yield Turn(repetition, scenario, rival)


def obtain(every: Sequence[Rival]) -> tuple[list[Rival], list[BrokerNote]]:
    """Those that can be had, and a note on each that was asked for."""
    there: list[Rival] = []
    notes: list[BrokerNote] = []
    for rival in every:
        missing = None
        print(f"obtaining {rival.title} ({rival.source})", flush=True)
        try:
            rival.obtain()
        except UnobtainableError as error:
            missing = str(error)
            print(f"  cannot be had: {missing}", flush=True)
        else:
            there.append(rival)
        notes.append(
            BrokerNote(
                name=rival.name,
                title=rival.title,
                source=rival.source,
                version=rival.version,
                remark=rival.remark,
                missing=missing,
            )
        )
    notes += [
        BrokerNote(name=name, title=name, source="", version="", remark="", missing=reason)
        for name, reason in NOT_MEASURED.items()
    ]
    return there, notes


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="make bench", description=lines[0], allow_abbrev=False)
    parser.add_argument("--only", metavar="SCENARIOS", help="names divided by commas; default: all")
    parser.add_argument("--brokers", metavar="BROKERS", help="names divided by commas; default: all")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of measurement in each run (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results (bench/results)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on where a .jsonl file ends")
    parser.add_argument("--list", action="store_true", help="print scenarios and brokers, and end")
    parser.add_argument("--render", type=Path, metavar="FILE", help="write report and chart of a .jsonl file anew")
    return parser.parse_args(words)


def fresh_file(directory: Path) -> Path:
    """A file for today's results that is not there yet."""
    directory.mkdir(parents=True, exist_ok=True)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    names = [day, *(f"{day}-{number}" for number in range(2, 1000))]
    return next(file for name in names if not (file := directory / f"{name}.jsonl").exists())


def allow_descriptors() -> int:
    """As many open files as the system gives, for brokers and generator too; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def end(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP end like Ctrl-C: brokers are stopped first."""
    raise KeyboardInterrupt


def begun(options: argparse.Namespace, notes: Sequence[BrokerNote]) -> Path:
    """A new file with its first line."""
    file = fresh_file(options.out)
    header = Header(
        began=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(CHECKOUT),
        machine=describe(),
        brokers=tuple(notes),
        seconds=options.seconds,
        repeat=options.repeat,
    )
    append(file, header)
    return file


def resumed(file: Path, notes: Sequence[BrokerNote]) -> tuple[Path, frozenset[Key]]:
    """A file that is there, and what is measured in it; it has to be of this commit and of these brokers."""
    results = read(file)
    now = commit(CHECKOUT)
    if results.header.commit != now:
        raise PlanError(f"{file} is of commit {results.header.commit}, this checkout is {now}: begin anew")
    known = {note.name for note in results.brokers()}
    unknown = [note.name for note in notes if note.missing is None and note.name not in known]
    if unknown:
        raise PlanError(f"{file} was begun without {', '.join(unknown)}: name its brokers with --brokers")
    write(file, results)
    return file, frozenset((one.repetition, one.scenario, one.broker) for one in results.records)


def measure(options: argparse.Namespace, scenarios: Sequence[Scenario], brokers: Sequence[Rival]) -> Path:
    """The whole run; the file with its lines."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    allow_descriptors()
    there, notes = obtain(brokers)
    stage = Stage.prepare(PLACE / "run")
    generator = Generator(GENERATOR, stage.cores.generator)
    file, done = resumed(options.resume, notes) if options.resume is not None else (begun(options, notes), frozenset())
    plan = tuple(turn for turn in turns(scenarios, there, options.repeat) if turn.key not in done)
    asked = sum(turn.refusal() is None for turn in plan)
    print(f"{asked} runs, about {asked * (options.seconds + GUESS_S) / 60:.0f} minutes; lines go to {file}", flush=True)
    try:
        Session(stage, generator, file, options.seconds, plan).run()
    except KeyboardInterrupt:
        print("interrupted: what was measured is kept", flush=True)
    return file


def show(options: argparse.Namespace, scenarios: Sequence[Scenario], every: Mapping[str, Rival]) -> bool:
    """Whether the command asked to see something instead of measuring, and has seen it."""
    if options.list:
        print("\n".join(f"{one.name:20} {one.group}: {one.title}" for one in scenarios))
        print("\n".join(f"{name:20} {rival.title} {rival.version} ({rival.source})" for name, rival in every.items()))
    elif options.render is not None:
        print(f"written: {write_report(read(options.render), options.render.with_suffix('.md'))}")
    else:
        return False
    return True


def check_generator(program: Path, crates: Path) -> None:
    """A generator of another day's sources measures something else, or is turned away: a `PlanError`."""
    if not program.exists():
        raise PlanError("the generator is not built: make bench builds it")
    built = program.stat().st_mtime
    sources = (file for crate in ("bartizan-bench", "bartizan-core") for file in (crates / crate / "src").rglob("*.rs"))
    if any(file.stat().st_mtime > built for file in sources):
        raise PlanError("the generator is older than its sources: make bench builds it")


def selected(
    options: argparse.Namespace, scenarios: Sequence[Scenario], every: Mapping[str, Rival]
) -> tuple[list[Scenario], list[Rival]]:
    """What the command asks to run; a `PlanError` if that cannot be."""
    names = chosen("scenario", [one.name for one in scenarios], options.only)
    wanted = chosen("broker", every, options.brokers)
    if options.repeat < 1 or options.seconds <= 0:
        raise PlanError("--repeat and --seconds are above 0")
    check_generator(GENERATOR, CHECKOUT / "crates")
    return [one for one in scenarios if one.name in names], [every[name] for name in wanted]


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 2 for a mistake in the command."""
    options = arguments(words)
    try:
        scenarios, every = load_scenarios(), rivals(PLACE / "rivals")
        if show(options, scenarios, every):
            return 0
        file = measure(options, *selected(options, scenarios, every))
    except (PlanError, StartError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"written: {write_report(read(file), file.with_suffix('.md'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
