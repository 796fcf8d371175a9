"""What a flood costs: the disk it fills, the traffic and the changes of others beside it. Broker with audit on.

    .venv/bin/python -m bench.flood --seconds 20 > flood.json

It starts Bartizan with identities, a policy, the audit and detectors as `bartizan up` makes them, and limits that let a flood
through: what is measured is the broker behind them. Beside each flood a pair of clients exchanges 500 messages a second (open
loop), and an operator adds an identity and revokes one again and again. One JSON line for each flood; exit code 1 where a change
was lost, or the record of changes or events is not whole.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bartizan.audit.keys import public_key
from bartizan.audit.search import records
from bartizan.audit.verify import verify
from bartizan.cli.control import asking
from bench.flooding import CONNECTS, DENIALS
from bench.ports import free_ports
from bench.process import CHECKOUT, Cores, Door, Running, pinned, running, wait_ready
from bench.storms import line_of, started

PROGRAM: Final = CHECKOUT / ".venv/bin/bartizan"
PAIR_PER_S: Final = 500
BETWEEN_CHANGES_S: Final = 0.5
SETTLE_S: Final = 12.0
"""Until what was left out is told (ten seconds), and what was observed is written."""

LET_IN_S: Final = 2.0
SOURCES: Final = 2_000
PATIENCE_S: Final = 120.0
LIMITS: Final = """\
[listeners.mqtt]
bind = "127.0.0.1:{port}"
loopback_only = true
danger_plaintext = "a flood on loopback: what TLS costs an attacker is not measured here"

[limits]
connections_max = 20000
connections_per_identity_max = 20000
connections_per_prefix_max = 20000
connection_rate_per_prefix_per_s = 1000000
connection_burst_per_prefix = 1000000
publish_rate_per_s = 1000000
publish_burst = 1000000
publish_bytes_per_s = 1000000000

[api]
bind = "off"

[log]
level = "error"
"""
POLICY: Final = """\
[roles.bench]
permit = [{ action = "all", filter = "bench/#" }]
"""


@dataclass(frozen=True, slots=True)
class Flood:
    """What comes at once: kinds of `flooding`, each with its rate."""

    name: str
    rates: Mapping[str, float]


def floods(connects_per_s: float, denials_per_s: float) -> tuple[Flood, ...]:
    """None, to compare with; one kind of CONNECT each; all three; denials; everything."""
    mixed = {kind: connects_per_s / len(CONNECTS) for kind in CONNECTS}
    denied = {kind: denials_per_s / len(DENIALS) for kind in DENIALS}
    return (
        Flood("none", {}),
        *(Flood(f"CONNECTs, {kind}", {kind: connects_per_s}) for kind in CONNECTS),
        Flood("CONNECTs, all kinds", mixed),
        Flood("denials", denied),
        Flood("both", mixed | denied),
    )


@dataclass(slots=True)
class Operator:
    """Somebody who adds an identity and revokes it, again and again."""

    root: Path
    number: int = 0
    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is told to end."""
        while not self.is_over.wait(BETWEEN_CHANGES_S):
            name = f"change-{self.number}"
            self.number += 1
            if self._done("/api/v1/identities", {"identity": name}):
                self.added.append(name)
                if self._done(f"/api/v1/identities/{name}/revocation", {"note": "flood"}):
                    self.revoked.append(name)

    def _done(self, path: str, body: Mapping[str, object]) -> bool:
        began = time.monotonic()
        try:
            with asking(self.root) as broker:
                answer = broker.post(path, json=body, timeout=PATIENCE_S)
        except Exception as error:  # noqa: BLE001  whatever it is, the change was not made
            self.failures.append(f"{path}: {error!r}")
            return False
        self.took_s.append(time.monotonic() - began)
        if answer.is_error:
            self.failures.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        return not answer.is_error

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Beside what happens inside."""
        self.is_over.clear()
        self.took_s.clear()
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            thread.join()


@dataclass(slots=True)
class Plant:
    """A broker, and who may connect."""

    broker: Running
    data: Path
    door: Door
    cores: Cores
    place: Path
    operator: Operator

    def metrics(self) -> dict[str, float]:
        """Numbers of the broker, by name."""
        with asking(self.data) as broker:
            lines = broker.get("/metrics", timeout=PATIENCE_S).text.splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("bartizan_")}

    def disk(self) -> dict[str, int]:
        """Octets of each file or directory of the data directory."""
        return {entry.name: _octets(entry) for entry in (*self.data.iterdir(), *(self.data / "audit").iterdir())}

    def flooders(self, flood: Flood, seconds: float) -> list[subprocess.Popen[str]]:
        """All at work."""
        words = ["--port", str(self.door.port), "--seconds", str(seconds), "--sources", str(SOURCES)]
        words += ["--user", str(self.door.user), "--password-file", str(self.place / "password")]

        def begun(kind: str) -> "subprocess.Popen[str]":
            rate = ["--rate", str(flood.rates[kind]), "--name", f"bench-{kind}"]
            argv = pinned(self.cores.generator, [sys.executable, "-m", "bench.flooding", kind, *rate, *words])
            return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)  # noqa: S603

        # Who is denied has to be let in first: behind a flood of passwords that takes its time.
        denied = [begun(kind) for kind in flood.rates if kind in DENIALS]
        time.sleep(LET_IN_S if denied else 0.0)
        return [*denied, *(begun(kind) for kind in flood.rates if kind in CONNECTS)]


def measured(plant: Plant, flood: Flood, seconds: float) -> dict[str, Any]:
    """One flood, and what was felt beside it."""
    pair_words = ("latency_1to1", "--rate", str(PAIR_PER_S), "--seconds", f"{seconds:g}", "--warmup", "1")
    pair_words = (*pair_words, "--client-id", "bench-pair", "--topic", "bench/pair")
    records_before, before, disk_before = _records(plant.data), plant.metrics(), plant.disk()
    with plant.operator.at_work():
        pair = started(plant.cores.generator, plant.door, plant.place, pair_words)
        time.sleep(1.2)
        sent = [
            json.loads(one.communicate(timeout=seconds + PATIENCE_S)[0] or "{}")
            for one in plant.flooders(flood, seconds)
        ]
        beside = line_of(pair)
    time.sleep(SETTLE_S)
    now, disk, told = plant.metrics(), plant.disk(), _records(plant.data)
    counted = ("bartizan_connects_refused_total", "bartizan_denied_total", "bartizan_protocol_errors_total")
    took = sorted(plant.operator.took_s)
    return {
        "flood": flood.name,
        "asked_per_s": dict(flood.rates),
        "sent": sent,
        "counted": {name: now.get(name, 0) - before.get(name, 0) for name in (*counted, "bartizan_events_lost_total")},
        "pair": {key: beside.get(key) for key in ("latency_us", "total_delivered", "lost", "error")},
        "changes": len(took),
        "change_ms": {"median": _ms(took, 0.5), "highest": _ms(took, 1.0)},
        "disk_octets": {
            name: size - disk_before.get(name, 0) for name, size in disk.items() if size != disk_before.get(name, 0)
        },
        "event_records": told - records_before,
        "resident_octets": _resident(plant.broker.pids()),
    }


def whole(plant: Plant) -> list[str]:
    """What is wrong with the record: changes that are missing, damage."""
    audit = plant.data / "audit"
    wrong = list(plant.operator.failures)
    for name in ("changes", "events"):
        wrong += [f"{name}: {problem}" for problem in verify(audit / name, public_key(audit)).problems]
    kept = list(records(audit / "changes"))
    targets = {str(each["target"]) for each in kept if each["kind"] == "change"}
    wrong += [f"no record of {name}" for name in plant.operator.added if f"identity/{name}" not in targets]
    return wrong


@contextmanager
def plant_in(place: Path) -> Iterator[Plant]:
    """A broker after its first run, with an identity of its own for the generators."""
    cores, data = Cores.choose(), place / "data"
    data.mkdir(mode=0o700)
    (port,) = free_ports(1)
    (data / "bartizan.toml").write_text(LIMITS.format(port=port), encoding="utf-8")
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    (place / "out").mkdir()
    argv = [str(PROGRAM), "up", "--data", str(data), "--json", "--set", "broker.cores=1"]
    with running(argv, core=cores.broker, directory=place / "out") as broker:
        _until_it_answers(broker, data)
        words = [str(PROGRAM), "enrol", "bench", "--role", "bench", "--password", "--json", "--data", str(data)]
        done = subprocess.run([*words, "--out", str(place / "bundle")], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"bartizan enrol failed: {done.stderr.strip()}")
        door = Door(port, "5", user="bench", password=json.loads(done.stdout)["password"])
        (place / "password").touch(0o600)
        (place / "password").write_text(str(door.password), encoding="utf-8")
        wait_ready(broker, door)
        yield Plant(broker, data, door, cores, place, Operator(data))


def _until_it_answers(broker: Running, data: Path) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not (data / "control.sock").exists():
        if not broker.is_alive() or time.monotonic() > ends:
            raise SystemExit(f"bartizan up did not start: {broker.last_words()}")
        time.sleep(0.1)


def _records(data: Path) -> int:
    return sum(1 for _ in records(data / "audit" / "events")) if (data / "audit" / "events").exists() else 0


def _octets(entry: Path) -> int:
    if entry.is_dir():
        return sum(one.stat().st_size for one in entry.rglob("*") if one.is_file())
    return entry.stat().st_size if entry.is_file() else 0


def _resident(pids: Sequence[int]) -> int:
    pages = [int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _ms(ordered: Sequence[float], share: float) -> float | None:
    return round(1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 1 when a change was lost, or the record is not whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each flood")
    parser.add_argument("--connects", type=float, default=20_000.0, help="bad CONNECTs a second")
    parser.add_argument("--denials", type=float, default=50_000.0, help="denied PUBLISHes a second")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bartizan-flood-") as place, plant_in(Path(place)) as plant:
        for flood in floods(asked.connects, asked.denials):
            print(json.dumps(measured(plant, flood, asked.seconds)), flush=True)
        wrong = whole(plant)
    for one in wrong:
        print(one, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
