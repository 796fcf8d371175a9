"""Counts the instructions of the hot functions under callgrind and holds them against `counts.toml`.

    make counts                     # fails when something became more than 3 % dearer
    make counts ARGS=--update       # writes what was counted as what is expected from now on

Counts, not seconds: they are the same on a busy machine and on an idle one. They are not the same under another
compiler, C library or processor family: then they are shown and not judged. See docs/reference/counts.md.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
EXPECTED = CHECKOUT / "bench/counts.toml"
TOLERANCE_PERCENT = 3.0
BUILD = ("cargo", "bench", "--locked", "-p", "bartizan-core", "--bench", "counts", "--no-run")
CALLGRIND = (
    "valgrind",
    "--quiet",
    "--tool=callgrind",
    "--toggle-collect=*collect_instructions*",
    "--dump-before=*end_of_case*",
    "--combine-dumps=yes",
)
HEAD = """\
# Instructions per operation of the hot functions, under callgrind: written by `make counts ARGS=--update`,
# compared by `make counts` (docs/reference/counts.md). [machine] is what they were counted on.
"""


class CountError(Exception):
    """Nothing could be counted; the message says why."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions per operation, and what they were counted on."""

    machine: Mapping[str, str]
    instructions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Move:
    """One case: what was expected of it and what was counted; `None` where one of the two is not there."""

    name: str
    expected: int | None
    counted: int | None

    @property
    def percent(self) -> float | None:
        """By how much it became dearer."""
        if not self.expected or self.counted is None:
            return None
        return 100.0 * (self.counted - self.expected) / self.expected

    @property
    def fails(self) -> bool:
        """True when it is dearer than it may be, or when only one of the two is there."""
        return self.percent is None or self.percent > TOLERANCE_PERCENT

    def __str__(self) -> str:
        if self.percent is None:
            return f"{self.name}: {'new' if self.expected is None else 'gone'}; `make counts ARGS=--update`"
        return f"{self.name}: {self.expected} -> {self.counted} ({self.percent:+.1f} %)"


def moves(expected: Counts, counted: Counts) -> list[Move]:
    """Every case, in the order it was counted; those that are gone last."""
    names = [*counted.instructions, *(name for name in expected.instructions if name not in counted.instructions)]
    return [Move(name, expected.instructions.get(name), counted.instructions.get(name)) for name in names]


def per_operation(names: str, dumps: str) -> dict[str, int]:
    """What the program printed, and callgrind's dumps in the same order.

    Raises:
        CountError: There is not one dump per case.
    """
    cases = [line.rpartition(" ") for line in names.splitlines()]
    # Behind the last case comes the dump that every run ends with.
    sums = [int(number) for number in re.findall(r"^summary: (\d+)$", dumps, re.MULTILINE)][: len(cases)]
    if not cases or len(sums) != len(cases) or 0 in sums:
        raise CountError(f"{len(cases)} cases ran, and callgrind has counts of {len([n for n in sums if n])}")
    return {name: round(count / int(operations)) for (name, _, operations), count in zip(cases, sums, strict=True)}


def machine() -> dict[str, str]:
    """What counts depend on, beside the code."""
    # The C library copies memory with the widest instructions that valgrind shows it of the processor's.
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    return {
        "architecture": platform.machine(),
        "copies": "avx2" if "avx2" in flags else "baseline",
        "libc": " ".join(platform.libc_ver()),
        "rustc": _output("rustc", "--version"),
        "valgrind": _output("valgrind", "--version"),
    }


def count() -> Counts:
    """Builds the cases as they ship, and counts them.

    Raises:
        CountError: A program failed.
    """
    with tempfile.TemporaryDirectory() as place:
        dumps = Path(place) / "callgrind"
        names = _output(*CALLGRIND, f"--callgrind-out-file={dumps}", _build())
        return Counts(machine(), per_operation(names, dumps.read_text(encoding="utf-8")))


def load(path: Path) -> Counts:
    """What is expected.

    Raises:
        CountError: There is no such file.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CountError(f"{path} is missing; `make counts ARGS=--update` writes it") from None
    return Counts(read["machine"], read["instructions"])


def render(counts: Counts) -> str:
    """The file of expected counts."""
    lines = [HEAD, "[machine]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in counts.machine.items()]
    lines += ["", "[instructions]"]
    lines += [f"{json.dumps(name)} = {value}" for name, value in counts.instructions.items()]
    return "\n".join(lines) + "\n"


def compare(expected: Counts, counted: Counts) -> int:
    """Says what moved; the exit status."""
    all_moves = moves(expected, counted)
    failed = [move for move in all_moves if move.fails]
    for move in all_moves:
        if move.fails or move.counted != move.expected:
            print(f"{'DEARER' if move.fails and move.percent is not None else '      '} {move}")
    other = [key for key, value in expected.machine.items() if counted.machine.get(key) != value]
    if other:
        print(f"counts: {len(failed)} of {len(all_moves)} moved too far, NOT JUDGED, for this is another machine:")
        for key in other:
            print(f"        {key}: {expected.machine[key]} -> {counted.machine.get(key)}")
        return 0
    if failed:
        print(f"counts: {len(failed)} of {len(all_moves)} moved by more than {TOLERANCE_PERCENT:.0f} %.")
        print("        If that is the price of something worth it, say so in the commit and: make counts ARGS=--update")
        return 1
    print(f"counts: {len(all_moves)} are within {TOLERANCE_PERCENT:.0f} % of what is expected, or better.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Counts, and compares or updates."""
    parser = argparse.ArgumentParser(prog="make counts", description="Instruction counts of the hot functions.")
    parser.add_argument("--update", action="store_true", help="write what was counted to bench/counts.toml")
    update: bool = parser.parse_args(arguments).update
    if shutil.which("valgrind") is None:
        print("counts: LEFT OUT: valgrind is not installed; to run them: apt-get install valgrind", file=sys.stderr)
        return 1 if update or os.environ.get("CI") == "true" else 0
    try:
        counted = count()
        if not update:
            return compare(load(EXPECTED), counted)
    except CountError as error:
        print(f"counts: {error}", file=sys.stderr)
        return 1
    if EXPECTED.exists():
        compare(load(EXPECTED), counted)
    EXPECTED.write_text(render(counted), encoding="utf-8")
    print(f"counts: {len(counted.instructions)} written to {EXPECTED.relative_to(CHECKOUT)}")
    return 0


def _build() -> str:
    """The program, built."""
    for line in _output(*BUILD, "--message-format=json-render-diagnostics").splitlines():
        artifact = json.loads(line)
        if artifact.get("target", {}).get("name") == "counts" and artifact.get("executable"):
            return str(artifact["executable"])
    raise CountError("cargo built no program")


def _output(*command: str) -> str:
    """What a program prints.

    Raises:
        CountError: It failed.
    """
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise CountError(f"`{' '.join(command[:3])} ...` failed with status {done.returncode}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
