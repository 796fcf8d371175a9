"""MQTT 5, 3.1.2 and 3.1.4 CONNECT: Clean Start, Session expiry, take-over, Keep Alive."""

import time

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Suback
from tests.conformance.wire import Wire

KEPT = {"session_expiry_interval": 30}


def kept_session(lab: Lab, topic: str) -> None:
    """Leave a Session of client `a` behind, subscribed to `topic` at QoS 1."""
    client = lab.client("a", props=KEPT)
    client.send(v5.subscribe(1, (topic, 1)))
    client.expect(Suback, reasons=(1,))
    client.disconnect()


def published(lab: Lab, topic: str, payload: bytes) -> None:
    """A QoS 1 message that the broker has taken ownership of."""
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, payload, qos=1, pid=1))
    publisher.expect(Puback, pid=1)
    publisher.disconnect()


def returned(lab: Lab, *, clean: bool, session_present: bool) -> Wire:
    """Client `a` again."""
    client = lab.dial()
    client.send(v5.connect(lab.name("a"), clean=clean, props=KEPT))
    client.expect(Connack, reason=0, session_present=session_present)
    return client


@clause("MQTT-3.1.2-4", v=5)
def test_mqtt_3_1_2_4_clean_start_discards_subscriptions_and_messages(lab: Lab) -> None:
    topic = lab.topic("x")
    kept_session(lab, topic)
    published(lab, topic, b"queued")
    client = returned(lab, clean=True, session_present=False)
    published(lab, topic, b"later")
    client.expect_nothing()


@clause("MQTT-3.1.2-5", v=5)
def test_mqtt_3_1_2_5_without_clean_start_the_session_goes_on(lab: Lab) -> None:
    topic = lab.topic("x")
    kept_session(lab, topic)
    published(lab, topic, b"queued")
    client = returned(lab, clean=False, session_present=True)
    client.send(v5.puback(client.expect(Publish, payload=b"queued", qos=1).pid or 0))
    published(lab, topic, b"later")
    client.expect(Publish, payload=b"later")


@clause("MQTT-3.1.2-6", v=5)
def test_mqtt_3_1_2_6_without_clean_start_or_session_a_new_one_begins(lab: Lab) -> None:
    returned(lab, clean=False, session_present=False).drop()
    returned(lab, clean=False, session_present=True)


@clause("MQTT-3.1.4-4", v=5)
def test_mqtt_3_1_4_4_clean_start_is_carried_out_each_time(lab: Lab) -> None:
    returned(lab, clean=True, session_present=False).disconnect()
    returned(lab, clean=False, session_present=True).disconnect()
    returned(lab, clean=True, session_present=False).disconnect()
    returned(lab, clean=False, session_present=True).disconnect()


@clause("MQTT-3.1.2-23", v=5)
def test_mqtt_3_1_2_23_a_session_is_kept_for_its_expiry_interval(lab: Lab) -> None:
    lab.client("a", props={"session_expiry_interval": 30}).drop()
    returned(lab, clean=False, session_present=True)


@clause("MQTT-3.1.2-23", v=5)
def test_mqtt_3_1_2_23_without_an_interval_the_session_ends_at_the_close(lab: Lab) -> None:
    lab.client("a").disconnect()
    returned(lab, clean=False, session_present=False)


@clause("MQTT-3.1.4-3", v=5)
def test_mqtt_3_1_4_3_the_earlier_connection_is_told_and_closed(lab: Lab) -> None:
    earlier = lab.client("a")
    later = lab.client("a")
    earlier.expect_refusal(Disconnect, 0x8E)
    later.expect_alive()


@clause("MQTT-3.1.2-22", v=5)
def test_mqtt_3_1_2_22_silence_of_one_and_a_half_keep_alive_ends_the_connection(lab: Lab) -> None:
    began = time.monotonic()
    client = lab.client(keep_alive=2)
    client.expect_refusal(Disconnect, 0x8D, within_s=15)
    assert time.monotonic() - began > 2.9


@clause("MQTT-3.1.2-22", v=5)
def test_mqtt_3_1_2_22_any_packet_counts_against_silence(lab: Lab) -> None:
    client = lab.client(keep_alive=1)
    for _ in range(3):
        client.expect_nothing(for_s=0.8)
        client.send(v5.publish(lab.topic("x")))
    client.expect_alive()


@clause("MQTT-3.1.2-22", v=5)
def test_mqtt_3_1_2_22_keep_alive_zero_is_no_limit(lab: Lab) -> None:
    client = lab.client(keep_alive=0)
    client.expect_nothing(for_s=2)
