"""MQTT 3.1.1, 3.1.2 and 3.1.4 CONNECT: CleanSession, take-over, Keep Alive, and the Will."""

import time

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, v311
from tests.conformance.received import Connack, Publish
from tests.conformance.steps import forget, lasting, published, returned, subscribe, subscriber
from tests.conformance.wire import Wire


@pytest.fixture
def publisher(lab: Lab) -> Wire:
    return lab.client("p", dialect=v311)


@pytest.fixture
def topic(lab: Lab) -> str:
    """The Will Topic."""
    return lab.topic("will")


@pytest.fixture
def watcher(lab: Lab, topic: str) -> Wire:
    """Someone who is told of the Will."""
    return subscriber(lab, (topic, 2), suffix="w", dialect=v311)


def clean(lab: Lab, suffix: str = "s") -> Wire:
    """Client `suffix` with CleanSession 1, which has no Session present."""
    client = lab.dial(v311)
    client.send(v311.connect(lab.name(suffix)))
    client.expect(Connack, reason=0, session_present=False)
    return client


@clause("MQTT-3.1.2-4", v=311)
def test_mqtt_3_1_2_4_without_clean_session_the_session_goes_on(lab: Lab, publisher: Wire) -> None:
    lasting(lab, (lab.topic("x"), 1), dialect=v311).drop()
    client = returned(lab, dialect=v311)
    published(publisher, lab.topic("x"))
    client.expect(Publish, qos=1)
    client.disconnect()
    returned(lab, dialect=v311)


@clause("MQTT-3.1.2-4", v=311)
def test_mqtt_3_1_2_4_without_a_session_one_is_created_and_kept(lab: Lab) -> None:
    returned(lab, dialect=v311, session_present=False).disconnect()
    returned(lab, dialect=v311, session_present=True).disconnect()


@clause("MQTT-3.1.2-5", v=311)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_1_2_5_messages_for_a_stored_session_are_kept(lab: Lab, publisher: Wire, qos: int) -> None:
    lasting(lab, (lab.topic("x"), qos), dialect=v311).disconnect()
    for number in range(3):
        published(publisher, lab.topic("x"), bytes([number]), qos)
    client = returned(lab, dialect=v311)
    for number in range(3):
        client.expect(Publish, payload=bytes([number]), qos=qos, dup=False)


@clause("MQTT-3.1.2-6", "MQTT-3.1.4-3", v=311)
def test_mqtt_3_1_2_6_clean_session_discards_what_was_there(lab: Lab, publisher: Wire) -> None:
    lasting(lab, (lab.topic("x"), 1), dialect=v311).disconnect()
    published(publisher, lab.topic("x"), b"queued")
    client = clean(lab)
    published(publisher, lab.topic("x"), b"later")
    client.expect_nothing(for_s=0.2)


@clause("MQTT-3.1.2-6", "MQTT-3.1.4-3", v=311)
def test_mqtt_3_1_2_6_a_clean_session_ends_with_its_connection(lab: Lab) -> None:
    client = clean(lab)
    subscribe(client, (lab.topic("x"), 1))
    client.drop()
    returned(lab, dialect=v311, session_present=False)


@clause("MQTT-3.1.2-7", v=311)
@pytest.mark.parametrize("first", [clean, lasting], ids=["clean", "lasting"])
def test_mqtt_3_1_2_7_retained_messages_outlive_the_session(lab: Lab, first: object) -> None:
    client = clean(lab) if first is clean else lasting(lab, dialect=v311)
    published(client, lab.topic("kept"), b"kept", retain=True)
    client.disconnect()
    again = clean(lab)
    subscribe(again, lab.topic("kept"))
    again.expect(Publish, payload=b"kept", retain=True)
    forget(again, lab.topic("kept"))


@clause("MQTT-3.1.2-8", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_1_2_8_a_will_is_published_when_the_connection_is_lost(
    lab: Lab, watcher: Wire, topic: str, qos: int
) -> None:
    client = lab.client(dialect=v311, will=Will(topic=topic, payload=b"gone", qos=qos))
    watcher.expect_nothing(for_s=0.1)
    client.drop()
    watcher.expect(Publish, topic=topic, payload=b"gone", qos=qos)


@clause("MQTT-3.1.2-8", v=311)
@pytest.mark.parametrize("octets", ["36 00", "00 00", "c1 00"], ids=["qos-3", "reserved", "flags"])
def test_mqtt_3_1_2_8_a_protocol_violation_publishes_the_will(lab: Lab, watcher: Wire, topic: str, octets: str) -> None:
    client = lab.client(dialect=v311, will=Will(topic=topic, payload=b"gone"))
    client.send(octets)
    client.expect_close()
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-8", v=311)
def test_mqtt_3_1_2_8_a_take_over_publishes_the_will(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(dialect=v311, will=Will(topic=topic, payload=b"gone"))
    lab.client(dialect=v311)
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-10", v=311)
@pytest.mark.parametrize("clean_session", [True, False])
def test_mqtt_3_1_2_10_a_will_withdrawn_by_disconnect_is_gone(
    lab: Lab, watcher: Wire, topic: str, clean_session: bool
) -> None:
    will = Will(topic=topic, payload=b"gone")
    lab.client("s", dialect=v311, clean=clean_session, will=will).disconnect()
    lab.client("s", dialect=v311).drop()
    watcher.expect_nothing(for_s=0.2)


@clause("MQTT-3.1.2-10", v=311)
def test_mqtt_3_1_2_10_a_will_is_published_once(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client("s", dialect=v311, clean=False, will=Will(topic=topic, payload=b"gone")).drop()
    watcher.expect(Publish, payload=b"gone")
    returned(lab, dialect=v311).drop()
    watcher.expect_nothing(for_s=0.2)


@clause("MQTT-3.1.2-12", v=311)
def test_mqtt_3_1_2_12_without_will_flag_there_is_no_will(lab: Lab) -> None:
    watcher = subscriber(lab, lab.topic("#"), suffix="w", dialect=v311)
    lab.client(dialect=v311).drop()
    watcher.expect_nothing(for_s=0.2)


@clause("MQTT-3.1.2-16", v=311)
def test_mqtt_3_1_2_16_a_will_without_will_retain_is_not_retained(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(dialect=v311, will=Will(topic=topic, payload=b"gone")).drop()
    watcher.expect(Publish, payload=b"gone", retain=False)
    subscriber(lab, topic, dialect=v311).expect_nothing(for_s=0.2)


@clause("MQTT-3.1.2-17", v=311)
def test_mqtt_3_1_2_17_a_will_with_will_retain_is_retained(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(dialect=v311, will=Will(topic=topic, payload=b"gone", retain=True)).drop()
    watcher.expect(Publish, payload=b"gone", retain=False)
    subscriber(lab, topic, dialect=v311).expect(Publish, payload=b"gone", retain=True)
    forget(watcher, topic)


@clause("MQTT-3.1.2-24", v=311)
def test_mqtt_3_1_2_24_silence_of_one_and_a_half_keep_alive_ends_the_connection(
    lab: Lab, watcher: Wire, topic: str
) -> None:
    began = time.monotonic()
    client = lab.client(dialect=v311, keep_alive=1, will=Will(topic=topic, payload=b"gone"))
    client.expect_close(within_s=15)
    assert time.monotonic() - began > 1.4
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-24", v=311)
def test_mqtt_3_1_2_24_any_packet_counts_against_silence(lab: Lab) -> None:
    client = lab.client(dialect=v311, keep_alive=1)
    for _ in range(3):
        client.expect_nothing(for_s=0.8)
        client.send(v311.publish(lab.topic("x")))
    client.expect_alive()


@clause("MQTT-3.1.3-2", v=311)
def test_mqtt_3_1_3_2_the_client_identifier_identifies_the_session(lab: Lab) -> None:
    lasting(lab, suffix="a", dialect=v311).disconnect()
    returned(lab, "b", dialect=v311, session_present=False)
    returned(lab, "a", dialect=v311, session_present=True)


@clause("MQTT-3.1.4-2", v=311)
def test_mqtt_3_1_4_2_the_earlier_connection_is_closed(lab: Lab) -> None:
    earlier = lab.client(dialect=v311)
    later = lab.client(dialect=v311)
    earlier.expect_close()
    later.expect_alive()
