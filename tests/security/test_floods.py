"""A flood of bad CONNECTs and denied PUBLISHes: the disk stays bounded, who behaves is served, no change is lost.

Counts and bounds alone; how fast it is, `bench.flood` measures.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.keys import public_key
from bartizan.audit.search import records
from bartizan.audit.verify import verify
from bench.flooding import admitted, pubacks, publish
from tests.conftest import ROOT
from tests.security.party import eventually
from tests.security.process import COMMAND, Process, running

SECONDS = 60
"""At most: a flood ends once the changes are made beside it."""
CONNECTS_PER_S = 300
DENIALS_PER_S = 3_000
SOURCES = 700
"""More addresses than kinds of events that are told apart in a second."""

MINUTES_MAX = 3
"""A flood of a minute and what is told of it are in three minutes at most."""

NOT_AUTHORIZED = 0x87
POLICY = '[roles.bench]\npermit = [{ action = "all", filter = "bench/#" }]\n'
LIMITS = {
    "connections_per_prefix_max": 20_000,
    "connection_rate_per_prefix_per_s": 100_000,
    "connection_burst_per_prefix": 100_000,
    "publish_rate_per_s": 1_000_000,
    "publish_burst": 1_000_000,
}
EVENT_BYTES_PER_MINUTE = 65_536


class Plant:
    """A broker that lets a flood through, and one identity."""

    def __init__(self, broker: Process, port: int, place: Path) -> None:
        self.broker, self.port, self.place = broker, port, place
        told = json.loads(
            self.verb("enrol", "bench", "--role", "bench", "--password", "--json", "--out", place / "bench")
        )
        self.password: str = told["password"]
        (place / "password").write_text(self.password)

    def verb(self, *words: str | Path) -> str:
        command = [*COMMAND, *map(str, words), "--data", str(self.broker.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def flood(self, kind: str, per_s: int, sources: int = 1) -> "subprocess.Popen[str]":
        words = ["--port", self.port, "--rate", per_s, "--seconds", SECONDS, "--user", "bench", "--sources", sources]
        words += ["--password-file", self.place / "password", "--name", f"bench-{kind}"]
        command = [sys.executable, "-m", "bench.flooding", kind, *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def number(self, name: str) -> float:
        lines = [line.split() for line in self.broker.get("/metrics").splitlines() if line.startswith(f"{name} ")]
        return float(lines[0][1])

    def recorded(self, log: str) -> list[dict[str, Any]]:
        return list(records(self.broker.data / "audit" / log))

    def changes_of(self, name: str) -> list[str]:
        mine = [
            one
            for one in self.recorded("changes")
            if (one["kind"], one.get("target")) == ("change", f"identity/{name}")
        ]
        return [one["what"] for one in mine]

    def assert_whole(self) -> None:
        audit = self.broker.data / "audit"
        for log in ("changes", "events"):
            found = verify(audit / log, public_key(audit))
            assert found.is_whole, found.problems


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    listener = '{bind = "127.0.0.1:0", loopback_only = true, danger_plaintext = "a flood on loopback"}'
    settings = [f"limits.{name}={value}" for name, value in LIMITS.items()]
    settings += [f"policy.file={policy}", f"listeners.mqtt={listener}", "log.level=error"]
    settings += [f"audit.event_bytes_per_minute_max={EVENT_BYTES_PER_MINUTE}"]
    with running(tmp_path / "data", *settings) as broker:
        yield Plant(broker, broker.port("mqtt"), tmp_path)


def answers_of(*flooders: "subprocess.Popen[str]") -> Counter[str]:
    answers: Counter[str] = Counter()
    for one in flooders:
        out, _ = one.communicate(timeout=SECONDS + 60)
        assert one.returncode == 0
        answers.update(json.loads(out)["answers"])
    return answers


def served(plant: Plant, flooders: "list[subprocess.Popen[str]]", begun: threading.Event) -> int:
    """How many messages of somebody who comes now, and behaves, are acknowledged until the flood is over; `begun` with
    the first."""
    count = 0
    with admitted(plant.port, "bench", plant.password, "bench-good") as good:
        while any(one.poll() is None for one in flooders):
            good.sendall(publish("bench/good", 1))
            (reason,) = pubacks(good, 1)
            assert reason < 0x80
            count += 1
            begun.set()
            time.sleep(0.01)
    return count


def beside(plant: Plant, flooders: "list[subprocess.Popen[str]]") -> Counter[str]:
    """Somebody is served and an operator makes changes while the flood lasts; what the flood was answered."""
    with ThreadPoolExecutor(1) as pool:
        begun = threading.Event()
        count = pool.submit(served, plant, flooders, begun)
        plant.verb("identity", "add", "pump-1")
        plant.verb("revoke", "pump-1", "--note", "flood")
        assert all(one.poll() is None for one in flooders), "the flood was over before the changes were made"
        begun.wait(SECONDS)
        for one in flooders:
            one.terminate()
        assert count.result(SECONDS + 60) > 0
    return answers_of(*flooders)


def told_of(events: list[dict[str, Any]], kind: str) -> int:
    """How many such events the records stand for."""
    told = 0
    for each in events:
        detail = each.get("detail", {})
        if each["what"] == kind or (each["what"], detail.get("kind")) == ("repeated", kind):
            told += detail.get("count", 1)
    return told


def left_out(events: list[dict[str, Any]]) -> Counter[str]:
    """What the records say that they leave out."""
    sums: Counter[str] = Counter()
    for each in events:
        if each["what"] == "events.left_out":
            sums.update(each["detail"]["count"])
    return sums


def test_a_flood_of_bad_connects_fills_no_disk_and_changes_land_beside_it(plant: Plant) -> None:
    kinds = ("wrong_password", "unknown", "malformed")
    flooders = [plant.flood(kind, CONNECTS_PER_S, SOURCES) for kind in kinds]
    answers = beside(plant, flooders)
    assert sum(answers.values()) > CONNECTS_PER_S
    assert "CONNACK 0x00" not in answers
    # What was left out is told, ten seconds behind at most.
    refused = plant.number("bartizan_connects_refused_total")
    assert refused > 0
    eventually(lambda: left_out(plant.recorded("events")).total() > 0)
    octets = sum(file.stat().st_size for file in (plant.broker.data / "audit" / "events").glob("*.jsonl"))
    # Checkpoints and numbers of what was left out come on top.
    assert octets <= MINUTES_MAX * EVENT_BYTES_PER_MINUTE + 16_384
    assert plant.changes_of("pump-1") == ["identity.add", "identity.set"]
    plant.assert_whole()


def test_a_flood_of_denials_is_told_in_full_by_few_records_and_a_change_lands_beside_it(plant: Plant) -> None:
    flooders = [plant.flood(kind, DENIALS_PER_S) for kind in ("denied_qos0", "denied_qos1")]
    answers = beside(plant, flooders)
    assert answers[f"PUBACK {NOT_AUTHORIZED:#04x}"] > 0
    assert set(answers) == {"sent", f"PUBACK {NOT_AUTHORIZED:#04x}"}
    eventually(lambda: plant.number("bartizan_denied_total") == answers.total())
    eventually(
        lambda: told_of(events := plant.recorded("events"), "denied") + left_out(events)["denied"] == answers.total()
    )
    events = plant.recorded("events")
    assert len(events) < answers.total() / 20
    # What the policy refused is kept by kind, not by message.
    denials = json.loads(plant.verb("denials", "--json"))
    assert len(denials) == 64
    assert sum(each["count"] for each in denials) == answers.total()
    assert plant.changes_of("pump-1") == ["identity.add", "identity.set"]
    plant.assert_whole()
