"""MQTT 5, 3.6 PUBREL: both ways; its flags, short forms, Reason Codes and properties."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.steps import BAD_PROPERTIES, cramped, identifier, published, subscriber
from tests.conformance.wire import Wire


def received(lab: Lab, pid: int = 9) -> Wire:
    """A publisher whose QoS 2 message awaits its PUBREL."""
    client = lab.client("p")
    client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
    client.expect(Pubrec, pid=pid)
    return client


@clause("MQTT-3.6.1-1", v=5)
@pytest.mark.parametrize("flags", [0x00, 0x01, 0x03, 0x04, 0x06, 0x0A, 0x0F])
def test_mqtt_3_6_1_1_other_flags_are_malformed(lab: Lab, flags: int) -> None:
    client = received(lab)
    client.send(frame(0x60 | flags, b"\x00\x09"))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.6.1-1", v=5)
def test_mqtt_3_6_1_1_the_servers_pubrel_has_them(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    published(lab.client("p"), topic, qos=2)
    client.send(v5.pubrec(identifier(client.expect(Publish))))
    client.expect_bytes("62 02 .. ..")


@clause("MQTT-3.6.2-1", v=5)
@pytest.mark.parametrize("reason", [None, 0x00, 0x92])
def test_mqtt_3_6_2_1_both_reasons_of_the_table_are_taken(lab: Lab, reason: int | None) -> None:
    client = received(lab)
    client.send(v5.pubrel(9, reason))
    client.expect(Pubcomp, pid=9, reason=0)


@clause("MQTT-3.6.2-1", v=5)
@pytest.mark.parametrize("reason", [0x01, 0x10, 0x80, 0x91, 0x93, 0xFF])
def test_mqtt_3_6_2_1_any_other_reason_is_refused(lab: Lab, reason: int) -> None:
    client = received(lab)
    client.send(v5.pubrel(9, reason))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-3.6.2-1", v=5)
def test_mqtt_3_6_2_1_a_pubrec_for_nothing_is_told_so(lab: Lab) -> None:
    # 4.3.3 and table 3-6: 0x92 is no error during recovery, and the connection goes on.
    client = lab.client()
    client.send(v5.pubrec(77))
    client.expect(Pubrel, pid=77, reason=0x92)
    client.expect_alive()


@clause("MQTT-3.6.2-2", "MQTT-3.6.2-3", v=5)
def test_mqtt_3_6_2_2_a_pubrel_fits_the_clients_maximum_packet_size(lab: Lab) -> None:
    client, limit = cramped(lab)
    client.send(v5.pubrec(77))
    assert client.expect(Pubrel, pid=77, reason=0x92).size <= limit


@pytest.mark.parametrize("tail", ["", "00", "00 00", "92 00"])
def test_the_end_of_a_pubrel_may_be_left_out(lab: Lab, tail: str) -> None:
    # 3.6.2.1, 3.6.2.2.1
    client = received(lab)
    client.send(frame(0x62, b"\x00\x09" + bytes.fromhex(tail)))
    client.expect(Pubcomp, pid=9, reason=0)


def test_a_pubrel_may_be_explained(lab: Lab) -> None:
    client = received(lab)
    client.send(v5.pubrel(9, 0x00, {"reason_string": "because", "user_property": [("b", "1"), ("a", "2")]}))
    client.expect(Pubcomp, pid=9, reason=0)


@BAD_PROPERTIES
def test_a_pubrel_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.6.2.2
    client = received(lab)
    client.send(v5.pubrel(9, 0x00, props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("body", ["", "00", "00 09 00 00 00"])
def test_a_pubrel_of_the_wrong_length_is_malformed(lab: Lab, body: str) -> None:
    client = received(lab)
    client.send(frame(0x62, bytes.fromhex(body)))
    client.expect_refusal(Disconnect, 0x81)
