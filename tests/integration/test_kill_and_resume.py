"""`kill -9` of the broker under load: what was acknowledged is delivered, and Sessions go on.

QoS 2 is exactly once, over a kill too, among the Sessions of one shard. Across shards a message whose
PUBREC had not left may come twice, as the engine's receipts say; such a test runs on one core.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.ports import free_ports
from tests.integration.conftest import Up
from tests.integration.crew import SESSION_EXPIRY_S, Berth, MqttJsClient
from tests.integration.recorder import Recorder, Will
from tests.integration.test_real_clients import POLICY, Harbour, harbour_of

KILLS = 3
WRITES_FOR_S = 0.5
ENOUGH_WITHIN_S = 30.0
UNANSWERED_MAX = 48
"""Below the broker's Receive Maximum of 64, which the client keeps no account of and a busy machine fills."""
EXPIRY = {"SessionExpiryInterval": SESSION_EXPIRY_S}


@dataclass
class Ship:
    """A broker that is killed and started again on the same directory and ports."""

    start: Callable[[], Up]
    harbour: Harbour
    running: Up = field(init=False)

    def __post_init__(self) -> None:
        self.running = self.harbour.up

    def sink_and_raise(self) -> None:
        """`kill -9`, and a new start."""
        assert self.running.stop(signal.SIGKILL) == -signal.SIGKILL
        self.running = self.start()


@pytest.fixture(params=[2])
def ship(up: Callable[..., Up], tmp_path: Path, request: pytest.FixtureRequest) -> Ship:
    """On two cores, where a test does not say otherwise."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "policy.toml").write_text(POLICY)
    mqtts, wss = free_ports(2)
    binds = ("--set", f"listeners.mqtts.bind=127.0.0.1:{mqtts}", "--set", f"listeners.wss.bind=127.0.0.1:{wss}")

    def start() -> Up:
        return up("--set", f"broker.cores={request.param}", binds=binds)

    return Ship(start, harbour_of(start(), tmp_path))


@pytest.fixture
def sailor(ship: Ship, recorders) -> Callable[..., Recorder]:
    """Opens paho clients with a Session that stays."""

    def open_one(suffix: str, version: str = "5", **more) -> Recorder:
        harbour = ship.harbour
        connect = {"clean": False, **(EXPIRY if version == "5" else {}), **more}
        proof = harbour.proofs["certificate"]
        return recorders(harbour.mqtts, f"anne-{suffix}", version=version, proof=proof, **connect).open()

    return open_one


def back(*clients: Recorder) -> None:
    """They notice that the broker is gone, and come back to their Sessions."""
    for client in clients:
        client.wait_end()
        client.paho.loop_stop()
        assert client.open().session_present


class Writer:
    """Publishes numbers, QoS 1 and 2 in turn, and keeps the books."""

    def __init__(self, client: Recorder, topic: str) -> None:
        self.client, self.topic = client, topic
        self.sent: dict[int | None, str] = {}
        self._numbers: Iterator[int] = iter(range(10**9))

    def write(self, seconds: float, least: int) -> None:
        """For so long, and until more than so many are acknowledged."""
        ends = time.monotonic() + seconds
        while (now := time.monotonic()) < ends or len(self.acknowledged) <= least:
            assert now < ends + ENOUGH_WITHIN_S, "too little was written to prove anything"
            if len(self.sent) - len(self.acknowledged) < UNANSWERED_MAX:
                number = next(self._numbers)
                qos = 1 + number % 2
                self.sent[self.client.send(self.topic, f"{self.topic} {qos} {number}", qos)] = f"{qos} {number}"
            time.sleep(0.001)

    @property
    def acknowledged(self) -> set[str]:
        return {f"{self.topic} {self.sent[mid]}" for mid in self.client.acknowledged() & self.sent.keys()}


def all_received(reader: Recorder, writer: Recorder) -> Counter[str]:
    """How often each payload came, up to a mark that comes after everything else."""
    return Counter(message.payload.decode() for message in reader.received_until(writer, "sea/mark"))


def test_nothing_acknowledged_is_lost_over_repeated_kills(ship, sailor):
    readers = [sailor("reader-5"), sailor("reader-311", "3.1.1")]
    for reader in readers:
        reader.subscribe("sea/#")
    writers = [Writer(sailor("writer-5"), "sea/5"), Writer(sailor("writer-311", "3.1.1"), "sea/311")]
    for kill in range(KILLS):
        for writer in writers:
            writer.write(WRITES_FOR_S / len(writers), least=20 * (kill + 1))
        ship.sink_and_raise()
        back(*readers, *(writer.client for writer in writers))
    for writer in writers:
        writer.client.publish("sea/last", "last", 2)  # all before it are acknowledged by then
        assert len(writer.acknowledged) == len(writer.sent)
    for reader in readers:
        got = all_received(reader, writers[0].client)
        for writer in writers:
            assert not writer.acknowledged - got.keys()


@pytest.mark.parametrize("ship", [1], indirect=True)
def test_a_client_that_connects_again_by_itself_is_heard_exactly_once(ship, sailor, node):
    reader = sailor("reader")
    reader.subscribe("sea/#")
    proof = ship.harbour.proofs["password"]
    writer = MqttJsClient(node, Berth(ship.harbour.wss, proof, "bert-writer", clean=False))
    try:
        for kill in range(2):
            begun: list[int] = []
            for number in range(100):
                begun.append(writer.begin_publish("sea/js", b"%d 2 %d" % (kill, number), 2))
                time.sleep(0.002)
            ship.sink_and_raise()
            back(reader)
            # What is published while MQTT.js repeats the rest of before, it gives up when the connection ends again.
            assert all(writer.answer(number, 60) < 0x80 for number in begun)
        got = Counter(message.payload.decode() for message in reader.receive(200))
        assert reader.received_until(reader, "sea/mark") == []
        assert got == Counter(f"{kill} 2 {number}" for kill in range(2) for number in range(100))
    finally:
        writer.close()


def test_retained_messages_subscriptions_and_wills_outlive_a_kill(ship, sailor, recorders):
    harbour = ship.harbour
    reader = sailor("reader")
    reader.subscribe("sea/#")
    reader.publish("kept/1", "kept", 1, retain=True)
    reader.publish("kept/2", "to go", 1, retain=True)
    reader.publish("kept/2", "", 1, retain=True)
    will = Will("sea/will", "late", 1, properties={"WillDelayInterval": 1})
    sailor("testator", will=will).drop()
    away = sailor("away")
    away.subscribe("sea/away")
    away.close()
    reader.publish("sea/away", "for one who is away", 1)
    ship.sink_and_raise()
    reader.wait_end()
    reader.paho.loop_stop()
    assert reader.open().session_present
    got = [message.payload for message in reader.receive(2)]
    if b"late" not in got:  # the other came before the kill too, and its acknowledgement may have sunk with the broker
        got += [message.payload for message in reader.receive()]
    assert set(got) == {b"for one who is away", b"late"}
    assert away.open().session_present
    assert away.receive()[0].payload == b"for one who is away"
    late = recorders(harbour.mqtts, "anne-late", proof=harbour.proofs["certificate"]).open()
    late.subscribe("kept/#")
    assert [(message.topic, message.payload) for message in late.received_until(late, "kept/mark")] == [
        ("kept/1", b"kept")
    ]


def test_messages_that_were_sent_and_not_acknowledged_come_again_after_a_kill(ship, sailor):
    slow, writer = sailor("slow", acknowledges=False), sailor("writer")
    slow.subscribe("sea/#", qos=1)
    for number in range(10):
        writer.publish("sea/1", str(number), 1)
    first = slow.receive(10)
    for message in first[:5]:
        slow.ack(message)
    slow.subscribe("kept/#", qos=1)  # its SUBACK comes after the broker has taken the acknowledgements
    writer.publish("sea/1", "after the acknowledgements", 1)
    slow.receive(1)
    ship.sink_and_raise()
    back(slow)
    again = slow.receive(6)
    assert [message.payload for message in again] == [b"5", b"6", b"7", b"8", b"9", b"after the acknowledgements"]
    assert all(message.dup for message in again)
