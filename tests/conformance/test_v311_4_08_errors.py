"""MQTT 3.1.1, 4.8 Handling errors and 7 Conformance: each violation ends its connection, and no other."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v311
from tests.conformance.received import Connack, Pingresp, Publish, Suback
from tests.conformance.steps import published, subscriber

# What a server alone sends, types that do not exist, lengths that cannot be.
VIOLATIONS = {
    "type-0": "00 00",
    "type-15": "f0 00",
    "connack": "20 02 00 00",
    "suback": "90 03 00 01 00",
    "unsuback": "b0 02 00 01",
    "pingresp": "d0 00",
    "publish-empty": "30 00",
    "publish-cut": "30 02 00 05",
    "publish-without-identifier": "32 03 00 01 61",
    "publish-qos-3": "36 05 00 01 61 00 01",
    "puback-empty": "40 00",
    "puback-cut": "40 01 00",
    "puback-long": "40 03 00 01 00",
    "pubrec-long": "50 03 00 01 00",
    "pubrel-long": "62 03 00 01 00",
    "pubcomp-long": "70 03 00 01 00",
    "subscribe-empty": "82 00",
    "unsubscribe-empty": "a2 00",
    "pingreq-long": "c0 01 00",
    "disconnect-long": "e0 01 00",
    "five-byte-length": "30 80 80 80 80 01",
}


@clause("MQTT-4.8.0-1", v=311)
@pytest.mark.parametrize("violation", VIOLATIONS)
def test_mqtt_4_8_0_1_a_violation_ends_its_connection(lab: Lab, violation: str) -> None:
    topic = lab.topic("x")
    watcher = subscriber(lab, topic, suffix="w", dialect=v311)
    client = lab.client(dialect=v311)
    client.send(VIOLATIONS[violation])
    client.expect_close()
    published(lab.client("p", dialect=v311), topic, b"x")
    watcher.expect(Publish, payload=b"x")


@clause("MQTT-4.8.0-1", v=311)
def test_mqtt_4_8_0_1_packets_of_mqtt_5_are_violations(lab: Lab) -> None:
    for packet in ("e0 02 00 00", "40 04 00 01 00 00", "f0 02 18 00"):
        client = lab.client(dialect=v311)
        client.send(packet)
        client.expect_close()


@clause("MQTT-4.8.0-1", v=311)
def test_mqtt_4_8_0_1_what_came_before_it_counts_and_what_comes_after_does_not(lab: Lab) -> None:
    topic = lab.topic("x")
    watcher = subscriber(lab, topic, suffix="w", dialect=v311)
    client = lab.client(dialect=v311)
    client.send(v311.publish(topic, b"before") + frame(0x00, b"") + v311.publish(topic, b"after"))
    client.expect_close()
    watcher.expect(Publish, payload=b"before")
    watcher.expect_nothing()


@clause("MQTT-7.1.1-1", v=311)
def test_mqtt_7_1_1_1_tcp_carries_mqtt_however_it_is_cut(lab: Lab) -> None:
    topic, client = lab.topic("x"), lab.dial(v311)
    stream = v311.connect(lab.name("a")) + v311.subscribe(1, topic) + v311.publish(topic, b"slow") + v311.pingreq()
    for octet in stream:
        client.send(bytes([octet]))
    client.expect(Connack, reason=0)
    client.expect(Suback, pid=1)
    client.expect(Publish, payload=b"slow")
    client.expect(Pingresp)


@clause("MQTT-7.1.1-1", v=311)
@pytest.mark.parametrize("length", [127, 128, 16383, 16384, 2097151, 2097152])
def test_mqtt_7_1_1_1_every_width_of_remaining_length_is_read_and_written(lab: Lab, length: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic, dialect=v311)
    payload = b"x" * (length - len(v311.publish(topic)) + 2)
    client.send(v311.publish(topic, payload))
    width = 1 + (length > 127) + (length > 16383) + (length > 2097151)
    assert client.expect(Publish, payload=payload, within_s=10).size == 1 + width + length
