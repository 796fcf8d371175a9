"""The long run: `python -m tests.faults --minutes 60 --report faults.md`. Needs root and loop devices.

Rounds of faults that a seed chooses, each round on a new disk, with a verdict at its end. Exit code 1 at the first
round that lost something or delivered QoS 2 twice; its seed repeats the schedule, though not the microsecond.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.disk import disk_in
from tests.faults.schedule import Run

FAULTS_A_ROUND = 4


@dataclass
class Tally:
    """What all rounds together did."""

    rounds: int = 0
    acknowledged: int = 0
    qos_2: int = 0
    lost: int = 0
    twice: int = 0
    slowest_start_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    bad_seeds: list[int] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """One round, judged."""
        verdict = run.end()
        self.rounds += 1
        self.acknowledged += len(run.publisher.acknowledged)
        self.qos_2 += len(run.publisher.sent_qos_2)
        self.lost += len(verdict.lost)
        self.twice += len(verdict.twice)
        self.slowest_start_s = max(self.slowest_start_s, run.slowest_start_s)
        self.faults += run.faults
        if not verdict.is_good:
            print(f"seed {run.seed}: {dict(run.faults)} {verdict}", file=sys.stderr)
            self.bad_seeds.append(run.seed)


def one_round(seed: int, tally: Tally) -> None:
    """Faults on one disk, each followed by a reader that is killed, and the verdict."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with disk_in(directory) as disk, closing(Run(disk, directory, seed)) as run:
            run.begin()
            for _ in range(FAULTS_A_ROUND):
                run.one()
                run.drain()
            tally.add(run)


def report(tally: Tally, seed: int, seconds: float) -> str:
    """The run in words that stand by themselves."""
    faults = "\n".join(f"| {name} | {count} |" for name, count in sorted(tally.faults.items()))
    verdict = "nothing" if not tally.bad_seeds else f"seeds {tally.bad_seeds}"
    return f"""# Faults: a run of {seconds / 60:.0f} minutes

{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()} {platform.machine()}, {os.cpu_count()} processors, ext4 on a loop device,
`durability = "fsync"`, `cores = 1`, first seed {seed}.

| what | count |
|---|---|
{faults}
| rounds, each on a new disk | {tally.rounds} |
| messages acknowledged | {tally.acknowledged} |
| of QoS 2 | {tally.qos_2} |
| **acknowledged and lost** | **{tally.lost}** |
| **QoS 2 delivered twice** | **{tally.twice}** |
| slowest start | {tally.slowest_start_s:.1f} s |

To be looked at: {verdict}.
"""


def main() -> int:
    """Runs until the time is up."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=None, help="write the report there as well")
    words = parser.parse_args()
    tally, started = Tally(), time.monotonic()
    while time.monotonic() - started < words.minutes * 60 and not tally.bad_seeds:
        one_round(words.seed + tally.rounds, tally)
        done = (time.monotonic() - started) / 60
        print(
            f"{done:.1f} of {words.minutes:.0f} minutes: {tally.faults.total()} faults, {tally.acknowledged} "
            f"acknowledged, {tally.lost} lost, {tally.twice} twice",
            file=sys.stderr,
        )
    text = report(tally, words.seed, time.monotonic() - started)
    print(text)
    if words.report is not None:
        words.report.write_text(text, encoding="utf-8")
    return 1 if tally.bad_seeds else 0


if __name__ == "__main__":
    sys.exit(main())
