"""MQTT 3.1.1, 3.14 DISCONNECT, and the Will it withdraws."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, v5, v311
from tests.conformance.received import Disconnect, Publish
from tests.conformance.steps import subscriber
from tests.conformance.wire import Wire


@pytest.fixture
def topic(lab: Lab) -> str:
    """The Will Topic."""
    return lab.topic("will")


@pytest.fixture
def watcher(lab: Lab, topic: str) -> Wire:
    """Someone who is told of the Will."""
    return subscriber(lab, (topic, 2), suffix="w", dialect=v311)


def with_will(lab: Lab, topic: str, *, qos: int = 0, retain: bool = False, keep_alive: int = 0) -> Wire:
    will = Will(topic=topic, payload=b"gone", qos=qos, retain=retain)
    return lab.client(dialect=v311, will=will, keep_alive=keep_alive)


@clause("MQTT-3.1.2-8", v=311)
def test_mqtt_3_1_2_8_the_will_of_a_kept_session_is_published_too(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(dialect=v311, clean=False, will=Will(topic=topic, payload=b"gone")).drop()
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.14.4-3", v=311)
def test_mqtt_3_14_4_3_disconnect_discards_the_will(lab: Lab, watcher: Wire, topic: str) -> None:
    client = with_will(lab, topic, retain=True)
    client.send("e0 00")
    client.expect_close()
    watcher.expect_nothing()
    subscriber(lab, topic, dialect=v311).expect_nothing()


@clause("MQTT-3.14.1-1", v=311)
@pytest.mark.parametrize("flags", range(1, 16))
def test_mqtt_3_14_1_1_other_flags_make_it_no_disconnect(lab: Lab, watcher: Wire, topic: str, flags: int) -> None:
    client = with_will(lab, topic)
    client.send(bytes([0xE0 | flags, 0]))
    client.expect_close()
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-8", v=311)
def test_mqtt_3_1_2_8_a_will_of_no_payload_is_a_will(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(dialect=v311, will=Will(topic=topic, payload=b"")).drop()
    watcher.expect(Publish, topic=topic, payload=b"")


@clause("MQTT-3.1.2-8", v=311)
def test_mqtt_3_1_2_8_clients_of_mqtt_5_are_told_too(lab: Lab, topic: str) -> None:
    watcher = subscriber(lab, (topic, 1), suffix="w", dialect=v5)
    with_will(lab, topic, qos=1).drop()
    watcher.expect(Publish, payload=b"gone", qos=1, properties={})
    earlier = lab.client("t", dialect=v5)
    lab.client("t", dialect=v311)  # and one of either version takes over one of the other
    earlier.expect_refusal(Disconnect, 0x8E)
