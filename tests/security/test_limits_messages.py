"""Limits on messages: rates, windows, queues, Retained Messages, and times that are negotiated."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Suback
from tests.conformance.steps import identifier
from tests.conformance.wire import Wire
from tests.security.party import OPEN, PLANT, QUOTA_EXCEEDED, Party, listener, party, plain
from tests.security.test_limits_packets import Counted

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
EXPIRY = {"session_expiry_interval": 60}
OUT_BUFFER_BYTES = 65_536


@pytest.fixture(scope="module")
def _lab() -> Iterator[Party]:
    settings = [
        listener("rate", limits={"publish_rate_per_s": 20, "publish_burst": 20}),
        listener("octets", limits={"publish_bytes_per_s": 20_000}),
        listener("excess", limits={"publish_rate_per_s": 50, "publish_burst": 50, "publish_excess_max_s": 1.0}),
        listener("inflight", limits={"inflight_max": 2}),
        listener("queue", limits={"queued_messages_max": 2}),
        listener("queue-bytes", limits={"queued_bytes_max": 4_000}),
        listener("keep-alive", limits={"keep_alive_min_s": 2, "keep_alive_max_s": 3}),
        listener("expiry", limits={"session_expiry_max_s": 1, "will_delay_max_s": 1}),
        listener("out", limits={"out_buffer_bytes_max": OUT_BUFFER_BYTES, "publish_rate_per_s": 1_000_000}),
        listener("free", limits={"publish_rate_per_s": 1_000_000, "publish_bytes_per_s": 1_000_000_000}),
    ]
    with party(OPEN, *settings) as running:
        yield running


@pytest.fixture
def lab(_lab: Party) -> Party:
    return _lab


def client(lab: Party, name: str, client_id: str = "c", dialect: Dialect = v5, **more: Any) -> Wire:
    wire = lab.dial(listener=name, tls=False, dialect=dialect)
    wire.send(dialect.connect(f"{name}.{client_id}.{dialect.level}", **more))
    wire.expect(Connack, reason=0)
    return wire


@DIALECTS
@pytest.mark.parametrize(
    ("name", "limit", "payload", "count"),
    [("rate", "publish_rate_per_s", b"x", 60), ("octets", "publish_bytes_per_s", b"x" * 2_000, 30)],
    ids=["number", "bytes"],
)
def test_who_sends_too_fast_is_read_later_and_loses_nothing(
    lab: Party, dialect: Dialect, name: str, limit: str, payload: bytes, count: int
):
    at_least_s = 1.8
    with Counted(lab, limit):
        wire, other = client(lab, name, "fast", dialect), client(lab, name, "calm", dialect)
        began = time.monotonic()
        wire.send(*(dialect.publish("a", payload, qos=1, pid=pid) for pid in range(1, count + 1)))
        other.expect_alive()
        for pid in range(1, count + 1):
            wire.expect(Puback, pid=pid, within_s=5)
        took_s = time.monotonic() - began
        assert took_s >= at_least_s


@DIALECTS
def test_who_goes_on_too_fast_for_too_long_is_disconnected(lab: Party, dialect: Dialect):
    with Counted(lab, "publish_excess_max_s"):
        wire = client(lab, "excess", "flood", dialect)
        began = time.monotonic()
        with suppress(TimeoutError, OSError):
            for _ in range(5_000):
                wire.send(dialect.publish("a", b"x" * 100) * 20)
                if lab.events("disconnected", client_id=f"excess.flood.{dialect.level}"):
                    break
        told = lab.wait_for("disconnected", client_id=f"excess.flood.{dialect.level}")
        assert (told["by"], told["reason"]) == ("server", "Message rate too high")
        assert time.monotonic() - began >= 1.0
        if dialect is v5:
            wire.expect_refusal(Disconnect, 0x96)


def test_who_keeps_its_rate_after_a_burst_is_left_alone(lab: Party):
    wire = client(lab, "excess", "good")
    wire.send(v5.publish("a", b"x") * 60)
    for _ in range(25):
        time.sleep(0.1)
        wire.send(v5.publish("a", b"x") * 2)
    wire.expect_alive()


@DIALECTS
def test_the_window_to_a_client_has_its_size(lab: Party, dialect: Dialect):
    subscriber, publisher = client(lab, "inflight", "s", dialect), client(lab, "free", "p")
    subscriber.send(dialect.subscribe(1, (f"in/{dialect.level}", 1)))
    subscriber.expect(Suback)
    for pid in range(1, 5):
        publisher.send(v5.publish(f"in/{dialect.level}", bytes([pid]), qos=1, pid=pid))
        publisher.expect(Puback)
    first, _ = subscriber.expect(Publish, payload=b"\x01"), subscriber.expect(Publish, payload=b"\x02")
    subscriber.expect_nothing()
    subscriber.send(dialect.puback(identifier(first)))
    subscriber.expect(Publish, payload=b"\x03")
    subscriber.expect_nothing(for_s=0.1)


@pytest.mark.parametrize(
    ("name", "limit", "payload", "kept"),
    [("queue", "queued_messages_max", b"x", 2), ("queue-bytes", "queued_bytes_max", b"x" * 900, 4)],
    ids=["messages", "bytes"],
)
def test_a_full_queue_takes_no_more_and_others_are_served(lab: Party, name: str, limit: str, payload: bytes, kept: int):
    with Counted(lab, limit):
        sleeper = client(lab, name, "s", clean=False, props=EXPIRY)
        sleeper.send(v5.subscribe(1, (f"{name}/t", 1)))
        sleeper.expect(Suback)
        sleeper.disconnect()
        awake, publisher = client(lab, "free", f"{name}.a"), client(lab, "free", f"{name}.p")
        awake.send(v5.subscribe(1, (f"{name}/t", 1)))
        awake.expect(Suback)
        for pid in range(1, 8):
            publisher.send(v5.publish(f"{name}/t", payload, qos=1, pid=pid))
            publisher.expect(Puback, reason=0)
            awake.send(v5.puback(identifier(awake.expect(Publish))))
    sleeper = client(lab, name, "s", clean=False, props=EXPIRY)
    for _ in range(kept):
        sleeper.send(v5.puback(identifier(sleeper.expect(Publish))))
    with suppress(AssertionError):
        sleeper.expect(Publish, within_s=0.2)
        assert kept != 2, "more than queued_messages_max were kept"
    assert lab.wait_for("limit_met", limit=limit)["client_id"].startswith(name)


def test_keep_alive_is_raised_and_lowered_in_v5(lab: Party):
    for asked, granted in ((1, 2), (0, 3), (60_000, 3)):
        wire = lab.dial(listener="keep-alive", tls=False)
        wire.send(v5.connect(f"k{asked}", keep_alive=asked))
        assert wire.expect(Connack, reason=0).properties["server_keep_alive"] == granted


def test_keep_alive_is_raised_silently_in_v311(lab: Party):
    wire = client(lab, "keep-alive", "old", v311, keep_alive=1)
    wire.expect_nothing(for_s=2.2)
    wire.expect_alive()
    wire.expect_close(within_s=4)
    assert lab.wait_for("disconnected", client_id="keep-alive.old.4")["reason"] == "Keep Alive timeout"


def test_a_session_and_a_will_last_no_longer_than_their_bounds(lab: Party):
    watcher = client(lab, "free", "w")
    watcher.send(v5.subscribe(1, "wills/#"))
    watcher.expect(Suback)
    wire = lab.dial(listener="expiry", tls=False)
    will = Will(topic="wills/a", payload=b"gone", props={"will_delay_interval": 1_000})
    wire.send(v5.connect("e", clean=False, will=will, props={"session_expiry_interval": 1_000}))
    assert wire.expect(Connack, reason=0).properties["session_expiry_interval"] == 1
    wire.drop()
    watcher.expect_nothing(for_s=0.6)
    watcher.expect(Publish, payload=b"gone", within_s=2)
    time.sleep(0.5)
    wire = lab.dial(listener="expiry", tls=False)
    wire.send(v5.connect("e", clean=False))
    wire.expect(Connack, reason=0, session_present=False)


def test_a_subscriber_that_stopped_reading_costs_its_buffer_and_harms_nobody(lab: Party):
    with Counted(lab, "out_buffer_bytes_max"):
        stopped, reader, publisher = (
            client(lab, "out", "stopped"),
            client(lab, "free", "reader"),
            client(lab, "free", "p"),
        )
        for wire in (stopped, reader):
            wire.send(v5.subscribe(1, "flood"))
            wire.expect(Suback)
        for number in range(600):
            publisher.send(v5.publish("flood", number.to_bytes(4) + b"x" * 16_000))
            reader.expect(Publish, within_s=5)
        reader.expect_alive()
        publisher.expect_alive()
        assert lab.wait_for("limit_met", limit="out_buffer_bytes_max")["client_id"] == "out.stopped.5"


@DIALECTS
@pytest.mark.parametrize("what", ["ping", "subscribe", "publish"])
def test_who_asks_and_does_not_read_the_answers_is_not_read_either(lab: Party, dialect: Dialect, what: str):
    """Every answer is memory: without a bound, a client that reads none takes all there is."""
    question = {
        "ping": dialect.pingreq(),
        "subscribe": dialect.subscribe(1, "unread"),
        "publish": dialect.publish("unread", b"", qos=1, pid=1),
    }[what]
    with plain(lab.port("out")) as stream:
        stream.sendall(dialect.connect(f"asks.{what}.{dialect.level}"))
        stream.settimeout(1.0)
        with pytest.raises((TimeoutError, ConnectionError)):
            stream.sendall(question * ((1 << 26) // len(question)))
    client(lab, "out", f"other.{what}").expect_alive()


RETAINED = [
    ("limits.retained_messages_max=3", "retained_messages_max", b"x"),
    ("limits.retained_bytes_max=4000", "retained_bytes_max", b"x" * 1_000),
    ("limits.retained_messages_per_identity_max=3", "retained_messages_per_identity_max", b"x"),
    ("limits.retained_bytes_per_identity_max=4000", "retained_bytes_per_identity_max", b"x" * 1_000),
]


@pytest.mark.parametrize(("setting", "limit", "payload"), RETAINED, ids=[row[1] for row in RETAINED])
def test_retained_messages_have_their_number_and_weight(setting: str, limit: str, payload: bytes):
    with party(PLANT, setting, "broker.sys_interval_s=0") as plant:
        plant.enrol("historian", "historian")
        plant.enrol("other", "historian")
        wire = plant.connect("historian")
        reasons = []
        with Counted(plant, limit):
            for number in range(6):
                wire.send(v5.publish(f"archive/{number}", payload, qos=1, pid=number + 1, retain=True))
                reasons.append(wire.expect(Puback).reason)
        assert reasons[:3] == [0x10, 0x10, 0x10]
        assert reasons[-1] == QUOTA_EXCEEDED
        wire.send(v5.publish("archive/0", payload, qos=1, pid=1, retain=True))
        wire.expect(Puback, reason=0x10)
        other = plant.connect("other")
        other.send(v5.publish("archive/other", payload, qos=1, pid=1, retain=True))
        other.expect(Puback, reason=0x10 if "identity" in limit else QUOTA_EXCEEDED)
        wire.send(v5.publish("archive/0", b"", qos=1, pid=2, retain=True))
        wire.expect(Puback, reason=0x10)
        wire.send(v5.publish("archive/again", payload, qos=1, pid=3, retain=True))
        wire.expect(
            Puback,
            reason=0x10
            if "identity" in limit or other is wire
            else QUOTA_EXCEEDED
            if reasons.count(0x10) > 3
            else 0x10,
        )


def test_subscribing_again_and_again_does_not_pile_up_retained_messages():
    with party(OPEN, "broker.sys_interval_s=0", listener("lab", limits={"out_buffer_bytes_max": 65_536})) as lab:
        wire = client(lab, "lab", "r")
        for number in range(100):
            wire.send(v5.publish(f"r/{number}", b"x" * 4_000, qos=1, pid=1, retain=True))
            wire.expect(Puback)
        before = resident_bytes()
        with plain(lab.port("lab")) as stream:
            stream.sendall(v5.connect("greedy") + v5.subscribe(1, "r/#") * 5_000)
            lab.wait_for("connected", client_id="greedy")
            wire.expect_alive()
            time.sleep(0.5)
            # Five thousand times a hundred of them would be two gigabytes, or as many pointers.
            assert resident_bytes() - before < 16 << 20


def resident_bytes() -> int:
    """Memory of this process, in which the broker runs."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS:"))
