"""What letting a client in costs, by what proves who it is; and ten thousand that come back at once.

    .venv/bin/python -m bench.logins --seconds 3 --repeat 3 > logins.jsonl

TCP, CONNECT, CONNACK, DISCONNECT on loopback without TLS, 50 at once, one identity; what says "over TLS" or
"handshakes" with TLS. One core for the broker, Python's part of it included; the other for the generator and whoever
judges beside the broker. One JSON line for each run; the table for people goes to standard error at the end.

Of each that is let in the broker's own count has to say that it was by what the row names. The crowd's credential is
remembered from its first coming on; the broker's own count has to say so of each.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.cli.control import asking, listens
from bartizan.pki.bundle import Bundle
from bench.generator import door_words
from bench.judges import NAME, WITHIN_S
from bench.ports import free_ports
from bench.process import Cores, Door, Running, pinned, running, wait_ready
from bench.proofs import ASKED_EVERY_TIME, INSTALLED_BY, KNOWN, NOBODY, WAYS, Made, Way, command, made
from bench.records import parse_line
from bench.rivals.bartizan import GENERATOR
from bench.run import allow_descriptors
from bench.scale import waited

WARM_UP_S = 1.0
ATTEMPTS = 20
"""Until all who come are known, where that is what is measured."""
CROWD = 10_000
CROWD_FIRST = 100
"""Those of the generator's `idle` that come before it counts."""
CROWD_WITHIN_S = 300.0
ACCEPTED = re.compile(
    r'^bartizan_connect_seconds_count\{(?=.*outcome="allowed")(?=.*method="([^"]+)").*\} (\d+)', re.MULTILINE
)
RECALLED = re.compile(r"^bartizan_authentications_recalled_total (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Served:
    """A broker that lets clients in, one way."""

    way: Way
    one: Running
    door: Door
    data: Path
    place: Path
    core: int
    """The generator's."""
    questions: Sequence[str]
    """Those to the responder so far."""
    certificate: Sequence[str] = ()

    def recalled(self) -> int:
        """CONNECTs that it answered from memory so far, by its own count."""
        found = RECALLED.search(self._told())
        return int(found[1]) if found else 0

    def accepted(self) -> Counter[str]:
        """Clients that it let in so far, by its own count, by the method that proved them."""
        counted = Counter[str]()
        for method, count in ACCEPTED.findall(self._told()):
            counted[method] += int(count)
        return counted

    def _told(self) -> str:
        with asking(self.data) as client:
            return client.get("/metrics").raise_for_status().text

    def line(self, scenario: str, *more: str, within_s: float = WITHIN_S) -> dict[str, Any]:
        """What the generator says of one run, and what the broker says of it."""
        words = [scenario, *door_words(self.door, self.place), *self.certificate, *more]
        words += ["--auth-method", self.way.method] if self.way.method else []
        words += [word for pid in self.one.pids() for word in ("--pid", str(pid))]
        argv = pinned(self.core, [str(GENERATOR), "run", *words, "--stall", f"{within_s:g}", "--quiet"])
        before, accepted, questions = self.recalled(), self.accepted(), len(self.questions)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=within_s * 3, check=False)  # noqa: S603
        line = parse_line(done.stdout)
        if not line or line.get("error"):
            raise SystemExit(f"{self.way.name}: {line.get('error') or done.stderr.strip()}; {self.one.last_words()}")
        # CONNACK goes out before it is counted that it did.
        waited(self.one, lambda: (self.accepted() - accepted).total() >= line["total_delivered"])
        if others := (self.accepted() - accepted).keys() - {self.way.proved_by}:
            raise SystemExit(f"{self.way.name}: some are let in by {', '.join(others)}")
        if self.way.listener == ASKED_EVERY_TIME and len(self.questions) - questions < line["total_delivered"]:
            raise SystemExit(f"{self.way.name}: the responder is not asked about each")
        return {"way": self.way.name, **line, "recalled": self.recalled() - before}


@contextlib.contextmanager
def broker(made: Made, way: Way, cores: Cores, place: Path) -> Iterator[Served]:
    """The broker, configured for one way."""
    (port,) = free_ports(1)
    directory = Path(tempfile.mkdtemp(dir=place))
    data = directory / "data"
    shutil.copytree(made.data if way.authentication else made.unknown, data)
    (data / "bartizan.toml").write_text(way.configuration(port, made.words), encoding="utf-8")
    secret = made.secrets.get(way.shows)
    mqtt = "5" if way.method else "3.1.1"
    door = Door(port, mqtt, data / "pki/ca.crt" if way.is_tls else None, NAME if secret else None, secret)
    certificate: Sequence[str] = ()
    if way.shows_certificate:
        bundle = Bundle.load(made.bundle)
        files = {"--cert": bundle.certificate, "--key": bundle.key}
        certificate = [word for option, file in files.items() for word in (option, str(made.bundle / (file or "")))]
    with running(command(data), core=cores.broker, directory=directory) as one:
        if way.greets:
            wait_ready(one, door)
        else:
            # The control socket, which tells what is counted, comes last.
            waited(one, lambda: listens(data))
        yield Served(way, one, door, data, place, cores.generator, made.questions, certificate)
    shutil.rmtree(directory, ignore_errors=True)


def measured(made: Made, way: Way, cores: Cores, place: Path, seconds: float) -> dict[str, Any]:
    """Clients that come and go for so many seconds."""
    with broker(made, way, cores, place) as served:
        words = ("--warmup", f"{WARM_UP_S:g}", "--seconds", f"{seconds:g}", "--sources", str(way.sources))
        were_known = not way.remembered_s
        for _ in range(ATTEMPTS):
            line = served.line("tls_handshakes_full" if way.is_tls else "connects", *words)
            # One that was not known costs a hash, perhaps still after the run: it counts from the second run on.
            are_known = not way.remembered_s or line["recalled"] >= line["total_delivered"]
            if were_known and are_known and line["delivered"]:
                return line
            were_known = are_known
    raise SystemExit(f"{way.name}: nobody is let in, or some are never known again")


def crowds(made: Made, cores: Cores, place: Path, count: int, repeat: int) -> Iterator[dict[str, Any]]:
    """So many that come once more and whose credential is known to be good; beside them, as many that prove nothing."""
    some, all_of_them = (), ("--at-once", str(count))
    for way in (NOBODY, KNOWN):
        with broker(made, way, cores, place) as served:
            for at, more in enumerate([some, *[some] * repeat, *[all_of_them] * repeat]):
                words = ("--connections", str(count), "--warmup", "0.1", *more)
                line = served.line("idle", *words, within_s=CROWD_WITHIN_S)
                if way.remembered_s and at > 0 and line["recalled"] != count + CROWD_FIRST:
                    raise SystemExit(f"{way.name}: only {line['recalled']} of {count + CROWD_FIRST} were known")
                label = f"{'all at once' if more else '64 at a time'}{', for the first time' * (at == 0)}"
                yield {**line, "label": label}


def table(lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """For people: medians, and in parentheses the least and the most."""
    rows = [
        "| proved by | connects per CPU-second | CPU of one | by the clock | to CONNACK, p50 | p99 |",
        "|---|---|---|---|---|---|",
    ]
    bare = statistics.median(float(line["per_cpu_s"]) for line in lines[NOBODY.name])
    for name, each in lines.items():
        rates = sorted(float(line["per_cpu_s"]) for line in each)
        middle = statistics.median(rates)
        p50, p99 = (statistics.median(line["latency_us"][share] for line in each) / 1e3 for share in ("p50", "p99"))
        clock = statistics.median(float(line["per_s"]) for line in each)
        spread = f"{middle:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
        once = f"{1e3 / middle:.2f} ms, {bare / middle:,.1f} times"
        rows.append(f"| {name} | {spread} | {once} | {clock:,.0f} | {p50:.1f} ms | {p99:.1f} ms |")
    return "\n".join(rows)


def crowd_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The same of the crowds."""
    each: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        each[line["way"], line["label"]].append(line)
    rows = ["| proved by | they come | all are in after | per second | CPU of the broker |", "|---|---|---|---|---|"]
    for (way, label), found in each.items():
        seconds, cpu_s = (sorted(float(line[field]) for line in found) for field in ("seconds", "broker_cpu_s"))
        rate = statistics.median(float(line["per_s"]) for line in found)
        took = f"{statistics.median(seconds):.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})"
        rows.append(f"| {way} | {label} | {took} | {rate:,.0f} | {statistics.median(cpu_s):.2f} s |")
    return "\n".join(rows)


def main() -> None:
    """Measures all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measurement in each run (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (%(default)s)")
    parser.add_argument("--crowd", type=int, default=CROWD, help="how many come back at once (%(default)s)")
    parser.add_argument("--only", default="", help="ways whose name has this in it, and nothing to compare with")
    words = parser.parse_args()
    allow_descriptors()
    cores = Cores.choose()
    # Whoever judges in this process shares the generator's core.
    os.sched_setaffinity(0, {cores.generator})
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    back: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bartizan-logins-") as made_in:
        place = Path(made_in)
        with made(place, cores.generator) as ready:
            ways = [way for way in WAYS if words.only in way.name or way == NOBODY]
            for missing in [way for way in ways if way.needs and way.needs not in ready.words]:
                print(f"{missing.name} is left out: apt-get install {INSTALLED_BY[missing.needs]}", file=sys.stderr)
                ways.remove(missing)
            for repetition in range(words.repeat):
                for way in ways:
                    line = {"repetition": repetition} | measured(ready, way, cores, place, words.seconds)
                    lines[way.name].append(line)
                    print(json.dumps(line), flush=True)
            for line in crowds(ready, cores, place, words.crowd, words.repeat) if words.crowd else ():
                back.append(line)
                print(json.dumps(line), flush=True)
    print(table(lines), crowd_table(back) if back else "", sep="\n\n", file=sys.stderr)


if __name__ == "__main__":
    main()
