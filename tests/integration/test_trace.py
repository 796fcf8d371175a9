"""`bartizan trace`: what a real client sends and is sent, over its connections, without its secrets, on record."""

import asyncio
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from bartizan.authn import ConnectRequest, Denied
from bartizan.authn import Proof as Proved
from bartizan.model.reason import ReasonCode
from bartizan.testing import Broker
from tests.integration.conftest import COMMAND, Up, place_of, run
from tests.integration.recorder import Proof, Recorder, RefusedError, Will
from tests.left_out import require_program
from tests.pcapng import Pcapng, read

POLICY = """
[roles.crew]
client_id = ["identity-*", "identity"]
permit    = [{ action = "all", filter = "plant/#" }]
"""
WITHIN_S = 20.0
ADMINISTRATIVE_ACTION = 0x98


class Trace:
    """A `bartizan trace` under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.head = process.stderr.readline()
        assert "tracing" in self.head, self.head

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Lines up to the first that fits."""
        assert self.process.stdout is not None
        lines = []
        for text in self.process.stdout:
            lines.append(json.loads(text))
            if fits(lines[-1]):
                return lines
        raise AssertionError(f"it ended after {lines}")

    def end(self, by: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(by)
        return self.process.wait(WITHIN_S)


class Plant:
    """A broker with one press."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.place = place_of(up)
        done = self.verb("enrol", "lathe-01", "--role", "crew", "--password", "--out", up.data.parent / "p", "--json")
        assert done.returncode == 0, done.stderr
        self.password = json.loads(done.stdout)["password"]
        self.clients: list[Recorder] = []

    def verb(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run(*words, "--data", self.up.data)

    def client(self, client_id: str = "lathe-01", password: str | None = None, **more: Any) -> Recorder:
        proof = Proof(user_name="lathe-01", password=password or self.password)
        self.clients.append(Recorder(self.place, client_id, proof=proof, **more))
        return self.clients[-1]

    @contextmanager
    def trace(self, *words: str | Path) -> Iterator[Trace]:
        process = subprocess.Popen(
            [*COMMAND, "trace", *map(str, words), "--data", str(self.up.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Trace(process)
        finally:
            process.kill()
            process.wait(WITHIN_S)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def on_record(self, outcomes: int = 1) -> list[dict[str, Any]]:
        """Records of traces, once so many have an outcome."""
        ends = time.monotonic() + WITHIN_S
        while True:
            found = self.verb("audit", "search", "--what", "client.trace", "--json").stdout.splitlines()
            records = [json.loads(line) for line in found]
            if sum(record["kind"] == "outcome" for record in records) >= outcomes:
                return records
            assert time.monotonic() < ends, records


@pytest.fixture(autouse=True)
def ctrl_c_arrives() -> Iterator[None]:
    """A run in the background ignores SIGINT, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def plant(up: Callable[..., Up], tmp_path: Path) -> Iterator[Plant]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    made = Plant(up("--set", f"policy.file={policy}"))
    yield made
    for client in made.clients:
        client.close()


def closed(line: dict[str, Any]) -> bool:
    return line.get("type") == "closed"


def is_a(kind: str, direction: str) -> Callable[[dict[str, Any]], bool]:
    return lambda line: line.get("type") == kind and line.get("direction") == direction


def test_the_packets_of_one_client_are_shown_over_its_connections_without_secrets(plant):
    beside = plant.client("lathe-01-beside").open()
    with plant.trace("lathe-01", "--for", "60s", "--json", "--why", "INC-4711") as trace:
        client = plant.client(will=Will("plant/gone", "last words", 1)).open()
        client.subscribe("plant/in", "forbidden/#", qos=1)
        beside.publish("plant/in", "unseen", CorrelationData=b"\x01", UserProperty=[("line", "4")])
        client.receive()
        assert client.publish("plant/out", "21.5", ContentType="text/plain") == 0x10
        assert client.publish("elsewhere", "no", 1) == 0x87
        client.close()
        lines = trace.until(closed)
        plant.client().open().close()
        again = trace.until(closed)
        assert trace.end() == 130
    kinds = [(line["direction"], line["type"]) for line in lines[:-1]]
    assert kinds[:4] == [("in", "CONNECT"), ("out", "CONNACK"), ("in", "SUBSCRIBE"), ("out", "SUBACK")]
    assert kinds[-1] == ("in", "DISCONNECT")
    by_kind = {(line["direction"], line["type"]): line for line in lines[:-1]}
    connect = by_kind["in", "CONNECT"]
    assert (connect["client_id"], connect["user_name"], connect["password"]) == ("lathe-01", "lathe-01", "hidden")
    assert (connect["will"]["topic"], connect["will"]["payload_bytes"]) == ("plant/gone", 10)
    assert by_kind["out", "CONNACK"]["reason"] == {"code": 0, "name": "Success"}
    assert [code["code"] for code in by_kind["out", "SUBACK"]["reasons"]] == [1, 0x87]
    received = by_kind["out", "PUBLISH"]
    assert (received["topic"], received["qos"], received["payload_bytes"]) == ("plant/in", 1, 6)
    assert received["properties"]["user_properties"] == [["line", "4"]]
    sent = [line for line in lines if is_a("PUBLISH", "in")(line)]
    assert [line["topic"] for line in sent] == ["plant/out", "elsewhere"]
    assert sent[0]["properties"] == {"content_type": "text/plain"}
    acknowledged = [line["reason"]["code"] for line in lines if is_a("PUBACK", "out")(line)]
    assert acknowledged == [0x10, 0x87]
    assert all("payload" not in line and "octets" not in line for line in lines)
    assert "last words" not in json.dumps(lines)
    assert plant.password not in json.dumps(lines + again)
    assert len({line["connection"] for line in lines}) == 1
    assert again[0]["type"] == "CONNECT"
    begun, ended = plant.on_record()
    assert (begun["target"], begun["why"], begun["after"]["payloads"]) == ("client/lathe-01", "INC-4711", False)
    assert (ended["kind"], ended["outcome"]) == ("outcome", "done")


def test_a_trace_begins_amid_a_connection_and_ends_by_its_time(plant):
    client = plant.client().open()
    client.subscribe("plant/#")
    with plant.trace("lathe-01", "--for", "3s", "--json", "--payloads") as trace:
        client.publish("plant/a", "warm")
        client.publish("plant/b", b"\xff\x00")

        def is_the_last(line: dict[str, Any]) -> bool:
            return line.get("payload_base64") == "/wA=" and line["direction"] == "out"

        lines = trace.until(is_the_last)
        assert any(line.get("payload") == "warm" and line["direction"] == "in" for line in lines)
        assert trace.process.wait(WITHIN_S) == 0
    assert client.publish("plant/c") == 0
    assert [record["kind"] for record in plant.on_record()] == ["change", "outcome"]


def test_a_client_that_is_refused_and_one_that_is_thrown_out_are_seen(plant):
    with plant.trace("lathe-01", "--json") as trace:
        with pytest.raises(RefusedError):
            plant.client(password="wrong-secret").open()
        refused = trace.until(closed)
        plant.client().open()
        trace.until(is_a("CONNACK", "out"))
        assert plant.verb("revoke", "lathe-01").returncode == 0
        ended = trace.until(closed)
    assert [line["type"] for line in refused] == ["CONNECT", "CONNACK", "closed"]
    assert refused[1]["reason"]["code"] in {0x86, 0x87}
    assert "wrong-secret" not in json.dumps(refused)
    assert [line["reason"]["code"] for line in ended if line["type"] == "DISCONNECT"] in ([0x87], [0x98])


def captured(plant: Plant, file: Path) -> list[str]:
    """A file of what one client did, with a message too long for one segment; the lines that were shown meanwhile."""
    with plant.trace("lathe-01", "--for", "60s", "--pcapng", file, "--payloads") as trace:
        client = plant.client().open()
        client.publish("plant/out", b"x" * 40_000)
        client.close()
        assert trace.process.stdout is not None
        lines: list[str] = []
        while not lines or " closed" not in lines[-1]:
            lines.append(trace.process.stdout.readline())
        trace.end()
    return lines


def test_wireshark_s_file_has_the_packets_and_no_secret(plant, tmp_path):
    file = tmp_path / "lathe-01.pcapng"
    lines = captured(plant, file)
    assert any("-> PUBLISH" in line and "plant/out id=1 qos=1" in line for line in lines), lines
    assert file.stat().st_mode & 0o077 == 0
    found: Pcapng = read(file.read_bytes())
    assert found.link_type == 101
    (stream,) = found.streams()
    assert stream.client[0] == "127.0.0.1"
    assert stream.server[1] == 1883
    kinds = [octets[0] >> 4 for _, octets in stream.packets()]
    assert kinds == [1, 2, 3, 4, 14]
    assert dict(stream.packets())["client"]
    whole = b"".join(octets for _, octets in stream.packets())
    assert b"x" * 40_000 in whole
    assert plant.password.encode() not in file.read_bytes()
    again = plant.verb("trace", "lathe-01", "--pcapng", file)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)


def test_wireshark_reads_its_file(plant, tmp_path):
    tshark = require_program("tshark", "tshark")
    file = tmp_path / "lathe-01.pcapng"
    captured(plant, file)

    def fields(shown: str, *names: str) -> list[list[str]]:
        words = [word for name in names for word in ("-e", name)]
        command = [tshark, "-r", file, "-Y", shown, "-T", "fields", "-E", "occurrence=a", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S * 3, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    kinds = [kind for (seen,) in fields("mqtt", "mqtt.msgtype") for kind in seen.split(",")]
    assert kinds == ["1", "2", "3", "4", "14"]
    assert fields("mqtt.msgtype == 1", "mqtt.clientid", "tcp.dstport") == [["lathe-01", "1883"]]
    ((topic, message),) = fields("mqtt.msgtype == 3", "mqtt.topic", "mqtt.msg")
    assert (topic, bytes.fromhex(message.replace(":", ""))) == ("plant/out", b"x" * 40_000)
    assert fields("_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0", "frame.number") == []


def test_traces_are_few_and_short(plant):
    assert plant.verb("trace", "lathe-01", "--for", "2h").returncode == 2
    assert plant.verb("trace", "", "--for", "1s").returncode == 2
    assert plant.on_record(0) == []


def test_a_trace_that_begins_while_a_connect_is_judged_shows_the_answer():
    asked, judged = threading.Event(), threading.Event()

    class Slow:
        name = "slow"

        @property
        def method(self) -> None:
            """It looks at a plain CONNECT."""

        async def authenticate(self, request: ConnectRequest) -> Proved | None:
            asked.set()
            await asyncio.to_thread(judged.wait, WITHIN_S)
            raise Denied(ReasonCode.NOT_AUTHORIZED, "a test")

    settings = ["listeners.mqtt.authentication=['slow']"]
    with Broker(settings=settings, authenticators=[Slow()]) as broker:
        engine = broker._running.broker.engine
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "lathe-01", protocol=mqtt.MQTTv5)
        client.tls_set(broker.ca_file)
        client.username_pw_set("lathe-01", "secret")
        client.connect(broker.host, broker.port)
        client.loop_start()
        try:
            assert asked.wait(WITHIN_S)
            number = engine.trace("lathe-01", for_s=60, payloads=False)
            judged.set()
            found: list[dict[str, Any]] = []
            ends = time.monotonic() + WITHIN_S
            while not any(closed(line) for line in found):
                assert time.monotonic() < ends, found
                taken = engine.take_trace(number, 100, octets=False) or b""
                found += [json.loads(line) for line in taken.splitlines()]
        finally:
            client.loop_stop()
    assert found[0]["type"] == "CONNACK"
    assert found[0]["reason"]["code"] == 0x87
