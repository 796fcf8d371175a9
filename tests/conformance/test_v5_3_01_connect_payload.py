"""MQTT 5, 3.1.3 CONNECT Payload: its order, the Client Identifier, text that is not UTF-8."""

import string

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import CONNECT, Will, frame, v5
from tests.conformance.received import Connack, Publish, Suback
from tests.conformance.wire import Wire

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]
EVERY_CHARACTER = string.digits + string.ascii_lowercase + string.ascii_uppercase


@clause("MQTT-3.1.3-1", v=5)
def test_mqtt_3_1_3_1_payload_fields_are_read_in_their_order(lab: Lab) -> None:
    watcher, topic = lab.client("w"), lab.topic("will")
    watcher.send(v5.subscribe(1, topic))
    watcher.expect(Suback)
    will = Will(topic=topic, payload=b"gone", props={"content_type": "text/plain"})
    client = lab.dial()
    client.send(v5.connect(lab.name("a"), will=will, username="u", password=b"p"))
    client.expect(Connack, reason=0)
    client.drop()
    watcher.expect(Publish, topic=topic, payload=b"gone", properties={"content_type": "text/plain"})


@clause("MQTT-3.1.3-2", v=5)
def test_mqtt_3_1_3_2_the_client_identifier_identifies_the_session(lab: Lab) -> None:
    kept = {"session_expiry_interval": 30}
    lab.client("a", props=kept).disconnect()
    other = lab.dial()
    other.send(v5.connect(lab.name("b"), clean=False))
    other.expect(Connack, session_present=False)
    same = lab.dial()
    same.send(v5.connect(lab.name("a"), clean=False))
    same.expect(Connack, session_present=True)


@clause("MQTT-3.1.3-3", v=5)
def test_mqtt_3_1_3_3_a_connect_without_client_identifier_is_malformed(wire: Wire) -> None:
    wire.send(frame(CONNECT, v5.connect("")[2:-2]))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.3-4", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_4_a_client_identifier_is_utf8(wire: Wire, octets: bytes) -> None:
    wire.send(v5.connect(octets))
    wire.expect_refusal(Connack, 0x81, 0x85)


@clause("MQTT-3.1.3-5", v=5)
@pytest.mark.parametrize(
    "client_id",
    ["0", "Z", *(EVERY_CHARACTER[at : at + 23] for at in (0, 23, 39))],
)
def test_mqtt_3_1_3_5_letters_and_digits_up_to_23_are_accepted(wire: Wire, client_id: str) -> None:
    wire.send(v5.connect(client_id))
    wire.expect(Connack, reason=0)


@clause("MQTT-3.1.3-6", v=5)
def test_mqtt_3_1_3_6_an_empty_client_identifier_gets_a_unique_one(lab: Lab) -> None:
    assigned = set()
    for _ in range(3):
        client = lab.dial()
        client.send(v5.connect(""))
        connack = client.expect(Connack, reason=0)
        assigned.add(connack.properties["assigned_client_identifier"])
    assert len(assigned) == 3
    assert "" not in assigned


@clause("MQTT-3.1.3-7", v=5)
def test_mqtt_3_1_3_7_the_assigned_identifier_is_the_sessions(lab: Lab, wire: Wire) -> None:
    wire.send(v5.connect("", props={"session_expiry_interval": 30}))
    assigned = wire.expect(Connack, reason=0).properties["assigned_client_identifier"]
    assert isinstance(assigned, str)
    wire.disconnect()
    again = lab.dial()
    again.send(v5.connect(assigned, clean=False))
    again.expect(Connack, reason=0, session_present=True)


@clause("MQTT-3.1.3-7", v=5)
def test_mqtt_3_1_3_7_a_client_that_named_itself_is_assigned_nothing(lab: Lab, wire: Wire) -> None:
    wire.send(v5.connect(lab.name("a")))
    assert "assigned_client_identifier" not in wire.expect(Connack).properties


@clause("MQTT-3.1.3-11", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_11_a_will_topic_is_utf8(wire: Wire, octets: bytes) -> None:
    wire.send(v5.connect("a", will=Will(topic=octets)))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.3-12", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_12_a_user_name_is_utf8(wire: Wire, octets: bytes) -> None:
    wire.send(v5.connect("a", username=octets))
    wire.expect_refusal(Connack, 0x81)
