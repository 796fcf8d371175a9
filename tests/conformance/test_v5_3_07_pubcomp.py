"""MQTT 5, 3.7 PUBCOMP: both ways; its short forms, Reason Codes and properties."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.steps import BAD_PROPERTIES, cramped, identifier, published, subscriber
from tests.conformance.wire import Wire


def released(lab: Lab) -> tuple[Wire, int]:
    """A subscriber who takes one message at a time, and has been sent PUBREL for the first of two."""
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), props={"receive_maximum": 1})
    publisher = lab.client("p")
    published(publisher, topic, b"first", 2)
    published(publisher, topic, b"second", 2)
    pid = identifier(client.expect(Publish, payload=b"first"))
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)
    return client, pid


@clause("MQTT-3.7.2-1", v=5)
def test_mqtt_3_7_2_1_a_pubrel_is_answered_with_success(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=9))
    client.expect(Pubrec, pid=9)
    client.send(v5.pubrel(9))
    client.expect(Pubcomp, pid=9, reason=0x00)


@clause("MQTT-3.7.2-1", v=5)
def test_mqtt_3_7_2_1_a_pubrel_for_nothing_is_told_so(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.pubrel(77))
    client.expect(Pubcomp, pid=77, reason=0x92)
    client.expect_alive()


@clause("MQTT-3.7.2-1", v=5)
def test_mqtt_3_7_2_1_a_pubrel_sent_again_finds_nothing(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=9))
    client.expect(Pubrec, pid=9)
    client.send(v5.pubrel(9) + v5.pubrel(9))
    client.expect(Pubcomp, pid=9, reason=0x00)
    client.expect(Pubcomp, pid=9, reason=0x92)


@clause("MQTT-3.7.2-1", v=5)
@pytest.mark.parametrize("reason", [None, 0x00, 0x92])
def test_mqtt_3_7_2_1_both_reasons_of_the_table_complete(lab: Lab, reason: int | None) -> None:
    client, pid = released(lab)
    client.send(v5.pubcomp(pid, reason))
    client.expect(Publish, payload=b"second")


@clause("MQTT-3.7.2-1", v=5)
@pytest.mark.parametrize("reason", [0x01, 0x10, 0x80, 0x91, 0x93, 0xFF])
def test_mqtt_3_7_2_1_any_other_reason_is_refused(lab: Lab, reason: int) -> None:
    client, pid = released(lab)
    client.send(v5.pubcomp(pid, reason))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-3.7.2-2", "MQTT-3.7.2-3", v=5)
def test_mqtt_3_7_2_2_a_pubcomp_fits_the_clients_maximum_packet_size(lab: Lab) -> None:
    client, limit = cramped(lab)
    client.send(v5.pubrel(77))
    assert client.expect(Pubcomp, pid=77, reason=0x92).size <= limit


@pytest.mark.parametrize("tail", ["", "00", "00 00", "92 00"])
def test_the_end_of_a_pubcomp_may_be_left_out(lab: Lab, tail: str) -> None:
    # 3.7.2.1, 3.7.2.2.1
    client, pid = released(lab)
    client.send(frame(0x70, pid.to_bytes(2) + bytes.fromhex(tail)))
    client.expect(Publish, payload=b"second")


def test_a_pubcomp_may_be_explained(lab: Lab) -> None:
    client, pid = released(lab)
    client.send(v5.pubcomp(pid, 0x00, {"reason_string": "because", "user_property": [("b", "1"), ("a", "2")]}))
    client.expect(Publish, payload=b"second")


@BAD_PROPERTIES
def test_a_pubcomp_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.7.2.2
    client, pid = released(lab)
    client.send(v5.pubcomp(pid, 0x00, props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("body", ["", "00", "00 09 00 00 00"])
def test_a_pubcomp_of_the_wrong_length_is_malformed(lab: Lab, body: str) -> None:
    client = lab.client()
    client.send(frame(0x70, bytes.fromhex(body)))
    client.expect_refusal(Disconnect, 0x81)


@pytest.mark.parametrize("first", [0x71, 0x72, 0x78])
def test_a_pubcomp_with_flags_is_malformed(lab: Lab, first: int) -> None:
    client, pid = released(lab)
    client.send(frame(first, pid.to_bytes(2)))
    client.expect_refusal(Disconnect, 0x81)


def test_a_pubcomp_for_nothing_changes_nothing(lab: Lab) -> None:
    client, pid = released(lab)
    client.send(v5.pubcomp(pid % 0xFFFF + 1))
    client.expect_alive()
    client.send(v5.pubcomp(pid))
    client.expect(Publish, payload=b"second")
