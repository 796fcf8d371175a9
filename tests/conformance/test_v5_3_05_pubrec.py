"""MQTT 5, 3.5 PUBREC: both ways; its short forms, Reason Codes and properties."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.steps import BAD_PROPERTIES, cramped, identifier, lasting, published, returned, subscriber
from tests.conformance.wire import Wire

# Table 3-5, without Success and No matching subscribers.
REFUSALS = (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)


# A topic no client of the open lab may publish to.
DENIED = "$SYS/broker/conformance"


def offered(lab: Lab) -> tuple[Wire, int]:
    """A subscriber who takes one message at a time, and the first of two that wait for it."""
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), props={"receive_maximum": 1})
    publisher = lab.client("p")
    published(publisher, topic, b"first", 2)
    published(publisher, topic, b"second", 2)
    return client, identifier(client.expect(Publish, payload=b"first", qos=2))


@clause("MQTT-3.5.2-1", v=5)
def test_mqtt_3_5_2_1_a_message_that_somebody_gets_is_a_success(lab: Lab) -> None:
    topic = lab.topic("x")
    subscriber(lab, topic)
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=2, pid=9))
    publisher.expect(Pubrec, pid=9, reason=0x00)


@clause("MQTT-3.5.2-1", v=5)
def test_mqtt_3_5_2_1_a_message_that_nobody_gets_may_say_so(lab: Lab) -> None:
    publisher = lab.client("p")
    publisher.send(v5.publish(lab.topic("nobody"), b"x", qos=2, pid=9))
    reason = publisher.expect(Pubrec, pid=9).reason
    assert reason == 0x10 or (reason == 0x00 and not lab.target.strict)
    # It is below 0x80, so the exchange goes on.
    publisher.send(v5.pubrel(9))
    publisher.expect(Pubcomp, pid=9, reason=0)


@clause("MQTT-3.5.2-1", v=5)
def test_mqtt_3_5_2_1_a_message_that_is_not_allowed_is_told_so(lab: Lab) -> None:
    publisher = lab.client("p")
    publisher.send(v5.publish(DENIED, b"x", qos=2, pid=9))
    assert publisher.expect(Pubrec, pid=9).reason == 0x87 or not lab.target.strict
    if lab.target.strict:  # and with that the exchange is over [MQTT-4.3.3-9]
        publisher.send(v5.pubrel(9))
        publisher.expect(Pubcomp, pid=9, reason=0x92)


@clause("MQTT-3.5.2-1", v=5)
@pytest.mark.parametrize("reason", [None, 0x00, 0x10])
def test_mqtt_3_5_2_1_a_success_is_followed_by_pubrel(lab: Lab, reason: int | None) -> None:
    client, pid = offered(lab)
    client.send(v5.pubrec(pid, reason))
    client.expect(Pubrel, pid=pid, reason=0)
    client.send(v5.pubcomp(pid))
    client.expect(Publish, payload=b"second")


@clause("MQTT-3.5.2-1", v=5)
@pytest.mark.parametrize("reason", REFUSALS)
def test_mqtt_3_5_2_1_a_refusal_ends_the_exchange(lab: Lab, reason: int) -> None:
    client, pid = offered(lab)
    client.send(v5.pubrec(pid, reason))
    client.expect(Publish, payload=b"second")


@clause("MQTT-3.5.2-1", v=5)
def test_mqtt_3_5_2_1_a_message_refused_is_not_sent_again(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 2))
    published(lab.client("p"), topic, qos=2)
    client.send(v5.pubrec(identifier(client.expect(Publish)), 0x97))
    client.expect_alive()
    client.drop()
    returned(lab).expect_nothing(for_s=0.2)


@clause("MQTT-3.5.2-1", v=5)
@pytest.mark.parametrize("reason", [0x01, 0x02, 0x11, 0x7F, 0x81, 0x82, 0x92, 0xFF])
def test_mqtt_3_5_2_1_any_other_reason_is_refused(lab: Lab, reason: int) -> None:
    client, pid = offered(lab)
    client.send(v5.pubrec(pid, reason))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@pytest.mark.parametrize("tail", ["", "00", "00 00", "10 00"])
def test_the_end_of_a_pubrec_may_be_left_out(lab: Lab, tail: str) -> None:
    # 3.5.2.1, 3.5.2.2.1
    client, pid = offered(lab)
    client.send(frame(0x50, pid.to_bytes(2) + bytes.fromhex(tail)))
    client.expect(Pubrel, pid=pid, reason=0)


def test_a_pubrec_may_be_explained(lab: Lab) -> None:
    client, pid = offered(lab)
    client.send(v5.pubrec(pid, 0x80, {"reason_string": "because", "user_property": [("b", "1"), ("a", "2")]}))
    client.expect(Publish, payload=b"second")


@BAD_PROPERTIES
def test_a_pubrec_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.5.2.2
    client, pid = offered(lab)
    client.send(v5.pubrec(pid, 0x00, props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("body", ["", "00", "00 01 00 00 00"])
def test_a_pubrec_of_the_wrong_length_is_malformed(lab: Lab, body: str) -> None:
    client = lab.client()
    client.send(frame(0x50, bytes.fromhex(body)))
    client.expect_refusal(Disconnect, 0x81)


@pytest.mark.parametrize("first", [0x51, 0x52, 0x58])
def test_a_pubrec_with_flags_is_malformed(lab: Lab, first: int) -> None:
    client, pid = offered(lab)
    client.send(frame(first, pid.to_bytes(2)))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.5.2-2", "MQTT-3.5.2-3", v=5)
def test_mqtt_3_5_2_2_a_pubrec_fits_the_clients_maximum_packet_size(lab: Lab) -> None:
    client, limit = cramped(lab)
    client.send(v5.publish(lab.topic("nobody"), b"x", qos=2, pid=1))
    assert client.expect(Pubrec, pid=1).size <= limit
    client.send(v5.publish(lab.topic("nobody"), b"\xff", qos=2, pid=2, props={"payload_format_indicator": 1}))
    assert client.expect(Pubrec, pid=2).size <= limit
