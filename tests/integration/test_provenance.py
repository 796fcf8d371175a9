"""Whose a message is: told by the broker where its topic asks for it, to real clients, and forged by none of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.testing import Broker, Bundle
from tests.integration.recorder import Message, Place, Proof, Recorder, Will

POLICY = """
[topics."command/{asset}"]
publish    = ["press"]
subscribe  = ["dash"]
provenance = true

[topics."data/{asset}"]
publish   = ["press"]
subscribe = ["dash"]

[roles.press]
binds = { asset = "client_id" }

[roles.dash]
"""
FORGED = {"UserProperty": [("bartizan-identity", "root"), ("unit", "Cel"), ("BARTIZAN-Method", "mfa")]}
NAMES = ["bartizan-identity", "bartizan-method", "bartizan-listener", "bartizan-time"]
OWN = [("unit", "Cel")]


@pytest.fixture(scope="module")
def plant() -> Iterator[tuple[Broker, Bundle, Bundle]]:
    with Broker(POLICY) as broker:
        yield broker, broker.enrol("press-01", "press"), broker.enrol("dash-01", "dash")


def client(broker: Broker, bundle: Bundle, version: str = "5", **more: Any) -> Recorder:
    assert bundle.certificate_file
    assert bundle.key_file
    proof = Proof(certificate_file=Path(bundle.certificate_file), key_file=Path(bundle.key_file))
    place = Place(broker.port, ca_file=bundle.ca_file)
    return Recorder(place, bundle.client_id, version=version, proof=proof, **more).open()


def said(message: Message) -> list[tuple[str, str]]:
    return message.properties.get("UserProperty", [])


def check(told: list[tuple[str, str]], names: list[str] = NAMES) -> None:
    """What the broker tells of `press-01`."""
    assert [name for name, _ in told] == names
    values = dict(told)
    assert (values["bartizan-identity"], values["bartizan-method"]) == ("press-01", "certificate")
    at = datetime.fromisoformat(values["bartizan-time"])
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_a_client_says_of_itself_does_not_count(plant, qos: int) -> None:
    broker, press, dash = plant
    reader, writer = client(broker, dash), client(broker, press)
    reader.subscribe("command/+", "data/+")
    for topic in ("command/press-01", "data/press-01"):
        writer.publish(topic, "open", qos, **FORGED)
    told, other = reader.receive(2)
    assert said(told)[:1] == OWN
    check(said(told)[1:])
    assert dict(said(told))["bartizan-listener"] in broker._running.broker.settings.listeners
    assert said(other) == OWN, "a name of the broker's is nobody's on any topic"
    writer.close()
    reader.close()


def test_a_publisher_of_3_1_1_is_told_of_too_and_a_subscriber_of_it_is_told_nothing(plant) -> None:
    broker, press, dash = plant
    reader, writer = client(broker, dash), client(broker, press, "3.1.1")
    reader.subscribe("command/+")
    writer.publish("command/press-01", "open")
    check(said(reader.receive()[0]))
    reader.close()
    old = client(broker, dash, "3.1.1")
    old.subscribe("command/+")
    writer.publish("command/press-01", "shut")
    assert old.receive()[0].payload == b"shut"
    writer.close()
    old.close()


def test_a_retained_message_tells_whose_it_was(plant) -> None:
    broker, press, dash = plant
    writer = client(broker, press)
    writer.publish("command/press-01", "stay", 1, retain=True, **FORGED)
    reader = client(broker, dash)
    reader.subscribe("command/+")
    (kept,) = reader.receive()
    assert kept.retain
    check(said(kept)[1:])
    # The other tests share the broker: what stays would be the first thing that each of them receives.
    writer.publish("command/press-01", "", 1, retain=True)
    writer.close()
    reader.close()


def test_a_will_tells_whose_it_is(plant) -> None:
    broker, press, dash = plant
    reader = client(broker, dash)
    reader.subscribe("command/+", qos=1)
    will = Will("command/press-01", "gone", 1, properties=FORGED)
    client(broker, press, will=will).drop()
    told = next(message for message in iter(lambda: reader.receive()[0], None) if message.payload == b"gone")
    assert said(told)[:1] == OWN
    check(said(told)[1:], [name for name in NAMES if name != "bartizan-listener"])
    reader.close()


def test_it_holds_from_the_next_message_on_and_no_longer_than_the_policy_asks() -> None:
    with Broker(POLICY.replace("provenance = true", "")) as broker:
        writer, reader = (
            client(broker, broker.enrol("press-01", "press")),
            client(broker, broker.enrol("dash-01", "dash")),
        )
        reader.subscribe("command/+")
        counts = []
        for policy in (None, POLICY, POLICY.replace("provenance = true", "")):
            if policy is not None:
                broker.apply_policy(policy)
            writer.publish("command/press-01", "open", **FORGED)
            counts.append(len(said(reader.receive()[0])))
        assert counts == [3, 5, 3]
        writer.close()
        reader.close()
