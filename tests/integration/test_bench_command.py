"""`bartizan bench` as its user meets it: against a relay, a faulty one, and a broker with TLS, identity and policy."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bartizan.model.credential import SCRAM_MECHANISMS
from bartizan.testing import Broker
from tests.scram import SETTING, accepts, give_keys

OPEN = {"danger_plaintext": "a test on loopback", "danger_anonymous": "a test on loopback"}
ANYBODY = '[roles.anonymous]\npermit = [{ action = "all", filter = "#" }]\n'
BENCH = '[roles.bench]\npermit = [{ action = "all", filter = "bench/#" }]\n'
PAGE = "docs/reference/bench.md"


def bench(words: Sequence[str], *, code: int = 0) -> str:
    command = [*bartizan(), "bench", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def bartizan() -> list[str]:
    return [sys.executable, "-c", "from bartizan.cli.app import main; main()"]


def report(words: str, *, port: int, code: int = 0) -> dict[str, Any]:
    (line,) = bench(["run", *words.split(), "--port", str(port), "--warmup", "0.1"], code=code).splitlines()
    return json.loads(line)


@contextmanager
def served(*words: str) -> Iterator[int]:
    """The port of a relay."""
    command = [*bartizan(), "bench", *words, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as relay:
        try:
            assert relay.stderr is not None
            yield int(relay.stderr.readline().rpartition(":")[2])
        finally:
            relay.terminate()


@pytest.fixture(scope="module")
def relay() -> Iterator[int]:
    with served("relay") as port:
        yield port


def test_a_run_prints_one_line_that_says_what_the_page_says(relay, root):
    found = report("p1_q1_w20 --messages 5000 --mqtt 5 --label here", port=relay)
    assert found["ok"] is True
    assert (found["mqtt"], found["label"], found["lost"]) == ("5", "here", 0)
    page = (root / PAGE).read_text(encoding="utf-8").split("## Report")[1]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [name for cell, _ in rows for name in re.findall(r"`(\w+)`", cell)] == list(found)
    (latencies,) = [what for cell, what in rows if cell == "`latency_us`"]
    assert set(found["ack_latency_us"]) == set(re.findall(r"`(\w+)`", latencies))


def test_the_page_names_every_scenario(root):
    listed = [line.split()[0] for line in bench(["list"]).splitlines()]
    page = (root / PAGE).read_text(encoding="utf-8").split("## Scenarios")[1].split("## Method")[0]
    told = [
        name for cell in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]
    assert told == listed


@pytest.mark.parametrize("fault", ["lose", "duplicate", "reorder", "corrupt", "wrong_qos"])
def test_a_fault_of_the_broker_ends_in_exit_code_1(fault):
    fields = {"lose": "lost", "duplicate": "duplicated", "reorder": "reordered"}
    with served("faulty", "--fault", fault, "--every", "50") as port:
        found = report("p1_q0_16 --messages 5000 --stall 1", port=port, code=1)
    assert found["ok"] is False
    assert found[fields.get(fault, fault)] > 0


@pytest.mark.parametrize("mqtt", ["3.1.1", "5"])
def test_a_broker_with_tls_identity_and_policy_delivers_each_message_once_in_order(mqtt):
    with Broker(BENCH) as broker:
        bundle = broker.enrol("bench", role="bench")
        door = f"--host localhost --ca {broker.ca_file} --cert {bundle.certificate_file} --key {bundle.key_file}"
        for load in ("p1_q0_16", "p1_q1_w20", "p1_q2_w20", "mesh_10x10_q1"):
            words = f"{load} {door} --mqtt {mqtt} --messages 2000 --publishers 3 --subscribers 3 --pid {os.getpid()}"
            found = report(words, port=broker.port)
            assert found["tls"].startswith("TLSv1_3")
            assert found["total_delivered"] >= 2000
            assert found["broker_cpu_s"] is not None


def test_retained_messages_and_lasting_sessions_of_a_broker_are_measured():
    with Broker(ANYBODY, **OPEN) as broker:
        found = report("retained --retained 300 --seconds 0.2", port=broker.port)
        assert found["setup"]["count"] == 300
        assert found["delivered"] >= 400
        assert report("durable --messages 500 --publishers 2", port=broker.port)["ack_latency_us"]["count"] >= 500


@pytest.mark.parametrize("mechanism", SCRAM_MECHANISMS)
def test_clients_prove_themselves_by_scram_one_after_the_other_and_in_a_crowd(mechanism, tmp_path: Path):
    settings = [SETTING, accepts("keys"), "limits.connections_per_identity_max=1000"]
    with Broker(BENCH, settings=settings, danger_plaintext=OPEN["danger_plaintext"]) as broker:
        broker.enrol("bench", role="bench")
        password_file = tmp_path / "password"
        password_file.write_text(give_keys(broker, "bench", mechanism))
        door = f"--mqtt 5 --user bench --password-file {password_file} --auth-method {mechanism}"
        found = report(f"connects {door} --messages 40 --connections 4", port=broker.port)
        assert found["ok"]
        assert found["delivered"] >= 40
        assert report(f"idle_sub {door} --connections 20", port=broker.port)["delivered"] == 20
        password_file.write_text("another password")
        wrong = report(f"connects {door} --messages 1 --connections 1", port=broker.port, code=1)
        assert "NotAuthorized" in wrong["error"]


def test_a_broker_that_is_not_there_and_a_mistake_are_told_in_one_line(tmp_path: Path):
    for words, code, told in (
        ("p1_q0_16 --port 1", 1, "cannot be reached"),
        ("nonsense --port 1", 2, "there is no scenario nonsense"),
        (f"p1_q0_16 --port 1 --ca {tmp_path}/none.pem", 2, "none.pem"),
        ("p1_q0_16 --port 1 --size 3", 2, "--size"),
    ):
        command = [*bartizan(), "bench", "run", *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert told in line
