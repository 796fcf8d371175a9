"""MQTT 5, 3.1 CONNECT: order, protocol, flags, and what a malformed one gets."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import CONNECT, Will, frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Connack, Disconnect, Publish, Suback
from tests.conformance.wire import Wire

WILL = Will(topic="w", payload=b"gone")


@clause("MQTT-3.1.0-1", v=5)
@pytest.mark.parametrize(
    "first",
    [
        v5.pingreq(),
        v5.publish("a", b"x"),
        v5.subscribe(1, "#"),
        v5.disconnect(),
        v5.auth(0x18, {"authentication_method": "m"}),
    ],
    ids=["pingreq", "publish", "subscribe", "disconnect", "auth"],
)
def test_mqtt_3_1_0_1_first_packet_must_be_connect(wire: Wire, first: bytes) -> None:
    # No DISCONNECT may come before CONNACK [MQTT-3.14.0-1], so there is nothing to say.
    wire.send(first)
    wire.expect_close()


@clause("MQTT-3.1.0-2", v=5)
def test_mqtt_3_1_0_2_a_second_connect_is_a_protocol_error(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.connect(lab.name("a")))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.1.2-1", v=5)
@pytest.mark.parametrize("name", ["MQTX", "mqtt", "MQT", "MQTTT", ""])
def test_mqtt_3_1_2_1_another_protocol_name_is_refused(wire: Wire, name: str) -> None:
    wire.send(v5.connect("a", name=name))
    wire.expect_refusal(Connack, 0x84, silent=True)


@clause("MQTT-3.1.2-2", v=5)
@pytest.mark.parametrize("level", [0, 1, 2, 6, 127, 255])
def test_mqtt_3_1_2_2_another_protocol_version_is_refused(wire: Wire, level: int) -> None:
    # 0x01 is how MQTT 3.1.1 says the same [MQTT-3.1.2-2 of 3.1.1].
    wire.send(v5.connect("a", level=level))
    wire.expect_refusal(Connack, 0x84, 0x01, silent=True)


@clause("MQTT-3.1.2-3", v=5)
def test_mqtt_3_1_2_3_the_reserved_connect_flag_is_zero(wire: Wire) -> None:
    wire.send(v5.connect("a", flags=0x03))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-9", v=5)
def test_mqtt_3_1_2_9_will_flag_without_will_fields_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", flags=0x06))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-11", v=5)
@pytest.mark.parametrize("flags", [0x0A, 0x12, 0x1A])
def test_mqtt_3_1_2_11_will_qos_without_will_flag_is_malformed(wire: Wire, flags: int) -> None:
    wire.send(v5.connect("a", flags=flags))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-12", v=5)
def test_mqtt_3_1_2_12_will_qos_three_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", will=Will(topic="w", qos=3)))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-12", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_1_2_12_will_qos_zero_to_two_is_accepted(lab: Lab, qos: int) -> None:
    lab.client(will=Will(topic=lab.topic("w"), qos=qos)).disconnect()


@clause("MQTT-3.1.2-13", v=5)
def test_mqtt_3_1_2_13_will_retain_without_will_flag_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", flags=0x22))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-16", v=5)
def test_mqtt_3_1_2_16_user_name_without_its_flag_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", username="u", flags=0x02))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-17", v=5)
def test_mqtt_3_1_2_17_user_name_flag_without_user_name_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", flags=0x82))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-18", v=5)
def test_mqtt_3_1_2_18_password_without_its_flag_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", username="u", password=b"p", flags=0x82))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.2-19", v=5)
def test_mqtt_3_1_2_19_password_flag_without_password_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", username="u", flags=0xC2))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.4-1", v=5)
@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ([("receive_maximum", 10), ("receive_maximum", 10)], 0x82),
        ([("session_expiry_interval", 1), ("session_expiry_interval", 1)], 0x82),
        ({"receive_maximum": 0}, 0x82),
        ({"maximum_packet_size": 0}, 0x82),
        ({"request_problem_information": 2}, 0x82),
        ({"request_response_information": 2}, 0x82),
        ({"authentication_data": b"x"}, 0x82),
        (b"\x21", 0x81),
        (b"\x7e\x00", 0x81),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_mqtt_3_1_4_1_bad_properties_end_the_connection(wire: Wire, props: Props, reason: int) -> None:
    wire.send(v5.connect("a", props=props))
    wire.expect_refusal(Connack, reason)


@clause("MQTT-3.1.4-1", v=5)
@pytest.mark.parametrize("name", ["topic_alias", "server_keep_alive", "will_delay_interval"])
def test_mqtt_3_1_4_1_properties_of_other_packets_end_the_connection(wire: Wire, name: str) -> None:
    # A property that is not of this packet makes it a Malformed Packet (2.2.2.2).
    wire.send(v5.connect("a", props={name: 1}))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.4-1", v=5)
def test_mqtt_3_1_4_1_bytes_after_the_payload_end_the_connection(wire: Wire) -> None:
    good = v5.connect("a")
    wire.send(frame(CONNECT, good[2:] + b"\x00"))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-3.1.4-1", v=5)
@pytest.mark.parametrize("length", [1, 5, 6, 7, 8, 9, 10, 12, 13])
def test_mqtt_3_1_4_1_a_connect_that_ends_too_early_ends_the_connection(wire: Wire, length: int) -> None:
    wire.send(frame(CONNECT, v5.connect("a")[2 : 2 + length]))
    # Before the level has been read, MQTT 5 is not what is being spoken.
    wire.expect_refusal(Connack, 0x81, silent=length < 7)


@clause("MQTT-3.1.4-1", v=5)
@pytest.mark.parametrize("first", ["11", "12", "14", "18"])
def test_mqtt_3_1_4_1_fixed_header_flags_end_the_connection(wire: Wire, first: str) -> None:
    wire.send(first, v5.connect("a")[1:])
    wire.expect_refusal(Connack, 0x81, silent=True)


@clause("MQTT-3.1.4-2", v=5)
def test_mqtt_3_1_4_2_a_failed_check_ends_the_connection(wire: Wire) -> None:
    # An Authentication Method nobody has is the check an open broker cannot pass (4.12).
    wire.send(v5.connect("a", props={"authentication_method": "NO-SUCH-METHOD"}))
    wire.expect_refusal(Connack, 0x8C, 0x87)


@clause("MQTT-3.1.4-5", v=5)
def test_mqtt_3_1_4_5_a_good_connect_gets_connack_success(lab: Lab, wire: Wire) -> None:
    wire.send(v5.connect(lab.name("a")))
    wire.expect(Connack, reason=0x00, session_present=False)
    wire.expect_alive()


@clause("MQTT-3.1.4-6", v=5)
@pytest.mark.parametrize("flaw", [{"flags": 0x03}, {"level": 6}, {"name": "MQTX"}])
def test_mqtt_3_1_4_6_nothing_after_a_refused_connect_is_processed(lab: Lab, flaw: dict[str, int]) -> None:
    watcher, topic = lab.client("w"), lab.topic("x")
    watcher.send(v5.subscribe(1, topic))
    watcher.expect(Suback)
    refused = lab.dial()
    refused.send(v5.connect(lab.name("a"), **flaw) + v5.publish(topic, b"no"))  # type: ignore[arg-type]
    refused.expect_refusal(Connack, 0x81, 0x84, 0x01, silent=True)
    watcher.send(v5.publish(topic, b"yes"))
    watcher.expect(Publish, payload=b"yes")
