"""MQTT 3.1.1, 3.1 CONNECT: order, protocol, flags, payload, and that a malformed one is just closed."""

import string

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import CONNECT, Dialect, Will, frame, v5, v311
from tests.conformance.received import Connack, Publish
from tests.conformance.steps import published, subscriber
from tests.conformance.wire import Wire

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]
EVERY_CHARACTER = string.digits + string.ascii_lowercase + string.ascii_uppercase
WILL = Will(topic="w", payload=b"gone")


@pytest.fixture
def older(lab: Lab) -> Wire:
    """An MQTT 3.1.1 connection on which nothing has been said."""
    return lab.dial(v311)


@clause("MQTT-3.1.0-1", v=311)
@pytest.mark.parametrize(
    "first",
    [v311.pingreq(), v311.publish("a", b"x"), v311.subscribe(1, "#"), v311.unsubscribe(1, "#"), v311.disconnect()],
    ids=["pingreq", "publish", "subscribe", "unsubscribe", "disconnect"],
)
def test_mqtt_3_1_0_1_first_packet_must_be_connect(older: Wire, first: bytes) -> None:
    older.send(first)
    older.expect_close()


@clause("MQTT-3.1.0-2", v=311)
@pytest.mark.parametrize("dialect", [v311, v5], ids=["same-version", "other-version"])
def test_mqtt_3_1_0_2_a_second_connect_ends_the_connection(lab: Lab, dialect: Dialect) -> None:
    client = lab.client(dialect=v311)
    client.send(dialect.connect(lab.name("a")))
    client.expect_close()


@clause("MQTT-3.1.2-1", v=311)
@pytest.mark.parametrize("name", ["MQTX", "mqtt", "MQT", "MQTTT", "", "MQIsdp"])
def test_mqtt_3_1_2_1_another_protocol_name_is_not_processed(lab: Lab, older: Wire, name: str) -> None:
    watcher, topic = subscriber(lab, lab.topic("x"), suffix="w"), lab.topic("x")
    older.send(v311.connect("a", name=name), v311.publish(topic, b"no"))
    older.expect_refusal(Connack, 0x01, 0x84, silent=True)
    published(lab.client("p"), topic, b"yes")
    watcher.expect(Publish, payload=b"yes")


@clause("MQTT-3.1.2-2", v=311)
@pytest.mark.parametrize("level", [0, 1, 2, 3, 6, 127, 255])
def test_mqtt_3_1_2_2_another_protocol_level_is_told_0x01(older: Wire, level: int) -> None:
    older.send(v311.connect("a", level=level))
    older.expect_refusal(Connack, 0x01)


@clause("MQTT-3.1.2-2", v=311)
def test_mqtt_3_1_2_2_mqtt_3_1_is_served_only_where_it_is_named(lab: Lab) -> None:
    named, unnamed = lab.dial(v311), lab.dial_tight(v311)
    for wire in (named, unnamed):
        wire.send(v311.connect(lab.name("a"), name="MQIsdp", level=3))
    named.expect_bytes("20 02 00 00")
    unnamed.expect_bytes("20 02 00 01")
    unnamed.expect_close()


@clause("MQTT-3.1.2-3", v=311)
def test_mqtt_3_1_2_3_the_reserved_connect_flag_is_zero(older: Wire) -> None:
    older.send(v311.connect("a", flags=0x03))
    older.expect_close()


@clause("MQTT-3.1.2-9", v=311)
@pytest.mark.parametrize("payload", [b"", b"\x00\x01w", b"\x00\x01w\x00", b"\x00\x01w\x00\x05gone"])
def test_mqtt_3_1_2_9_will_flag_without_will_fields_is_malformed(older: Wire, payload: bytes) -> None:
    older.send(frame(CONNECT, v311.connect("a", flags=0x06)[2:] + payload))
    older.expect_close()


@clause("MQTT-3.1.2-11", v=311)
def test_mqtt_3_1_2_11_will_fields_without_will_flag_are_malformed(older: Wire) -> None:
    older.send(v311.connect("a", will=WILL, flags=0x02))
    older.expect_close()


@clause("MQTT-3.1.2-11", "MQTT-3.1.2-13", v=311)
@pytest.mark.parametrize("flags", [0x0A, 0x12, 0x1A])
def test_mqtt_3_1_2_11_will_qos_without_will_flag_is_malformed(older: Wire, flags: int) -> None:
    older.send(v311.connect("a", flags=flags))
    older.expect_close()


@clause("MQTT-3.1.2-14", v=311)
def test_mqtt_3_1_2_14_will_qos_three_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", will=Will(topic="w", qos=3)))
    older.expect_close()


@clause("MQTT-3.1.2-14", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_1_2_14_will_qos_zero_to_two_is_accepted(lab: Lab, qos: int) -> None:
    lab.client(dialect=v311, will=Will(topic=lab.topic("w"), qos=qos)).disconnect()


@clause("MQTT-3.1.2-15", v=311)
def test_mqtt_3_1_2_15_will_retain_without_will_flag_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", flags=0x22))
    older.expect_close()


@clause("MQTT-3.1.2-18", v=311)
def test_mqtt_3_1_2_18_user_name_without_its_flag_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", username="u", flags=0x02))
    older.expect_close()


@clause("MQTT-3.1.2-19", v=311)
def test_mqtt_3_1_2_19_user_name_flag_without_user_name_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", flags=0x82))
    older.expect_close()


@clause("MQTT-3.1.2-20", v=311)
def test_mqtt_3_1_2_20_password_without_its_flag_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", username="u", password=b"p", flags=0x82))
    older.expect_close()


@clause("MQTT-3.1.2-21", v=311)
def test_mqtt_3_1_2_21_password_flag_without_password_is_malformed(older: Wire) -> None:
    older.send(v311.connect("a", username="u", flags=0xC2))
    older.expect_close()


@clause("MQTT-3.1.2-22", v=311)
def test_mqtt_3_1_2_22_a_password_needs_a_user_name(older: Wire) -> None:
    # MQTT 5 has given this up (3.1.2.9 there).
    older.send(v311.connect("a", password=b"p"))
    older.expect_close()


@clause("MQTT-3.1.3-1", v=311)
def test_mqtt_3_1_3_1_payload_fields_are_read_in_their_order(lab: Lab, older: Wire) -> None:
    watcher = subscriber(lab, lab.topic("will"), suffix="w", dialect=v311)
    will = Will(topic=lab.topic("will"), payload=b"gone")
    older.send(v311.connect(lab.name("a"), will=will, username="u", password=b"p"))
    older.expect(Connack, reason=0)
    older.drop()
    watcher.expect(Publish, topic=lab.topic("will"), payload=b"gone")


@clause("MQTT-3.1.3-3", v=311)
def test_mqtt_3_1_3_3_a_connect_without_client_identifier_is_malformed(older: Wire) -> None:
    older.send(frame(CONNECT, v311.connect("")[2:-2]))
    older.expect_close()


@clause("MQTT-3.1.3-4", v=311)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_4_a_client_identifier_is_utf8(older: Wire, octets: bytes) -> None:
    older.send(v311.connect(octets))
    older.expect_refusal(Connack, 0x02, silent=True)


@clause("MQTT-3.1.3-5", v=311)
@pytest.mark.parametrize("client_id", ["0", "Z", *(EVERY_CHARACTER[at : at + 23] for at in (0, 23, 39))])
def test_mqtt_3_1_3_5_letters_and_digits_up_to_23_are_accepted(older: Wire, client_id: str) -> None:
    older.send(v311.connect(client_id))
    older.expect(Connack, reason=0)


@clause("MQTT-3.1.3-6", v=311)
def test_mqtt_3_1_3_6_an_empty_client_identifier_gets_a_unique_one(lab: Lab) -> None:
    clients = [lab.dial(v311) for _ in range(3)]
    for client in clients:
        client.send(v311.connect(""))
        client.expect(Connack, reason=0, session_present=False)
    for client in clients:  # none has taken another over
        client.expect_alive()


@clause("MQTT-3.1.3-7", "MQTT-3.1.3-8", "MQTT-3.1.3-9", v=311)
def test_mqtt_3_1_3_7_an_empty_client_identifier_needs_clean_session(older: Wire) -> None:
    older.send(v311.connect("", clean=False))
    older.expect_bytes("20 02 00 02")
    older.expect_close()


@clause("MQTT-3.1.3-10", v=311)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_10_a_will_topic_is_utf8(older: Wire, octets: bytes) -> None:
    older.send(v311.connect("a", will=Will(topic=octets)))
    older.expect_close()


@clause("MQTT-3.1.3-11", v=311)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_1_3_11_a_user_name_is_utf8(older: Wire, octets: bytes) -> None:
    older.send(v311.connect("a", username=octets))
    older.expect_close()


@clause("MQTT-3.1.4-1", v=311)
@pytest.mark.parametrize("length", [1, 6, 7, 8, 9, 10, 11, 12])
def test_mqtt_3_1_4_1_a_connect_that_ends_too_early_is_closed_without_connack(older: Wire, length: int) -> None:
    older.send(frame(CONNECT, v311.connect("a")[2 : 2 + length]))
    older.expect_close()


@clause("MQTT-3.1.4-1", v=311)
def test_mqtt_3_1_4_1_bytes_after_the_payload_are_closed_without_connack(older: Wire) -> None:
    older.send(frame(CONNECT, v311.connect("a")[2:] + b"\x00"))
    older.expect_close()


@clause("MQTT-3.1.4-1", v=311)
@pytest.mark.parametrize("first", ["11", "12", "14", "18"])
def test_mqtt_3_1_4_1_fixed_header_flags_are_closed_without_connack(older: Wire, first: str) -> None:
    older.send(first, v311.connect("a")[1:])
    older.expect_close()


@clause("MQTT-3.1.4-4", v=311)
def test_mqtt_3_1_4_4_a_good_connect_gets_connack_zero(lab: Lab, older: Wire) -> None:
    older.send(v311.connect(lab.name("a")))
    older.expect_bytes("20 02 00 00")
    older.expect_alive()


@clause("MQTT-3.1.4-5", v=311)
@pytest.mark.parametrize(
    "refused",
    [v311.connect("a", flags=0x03), v311.connect("", clean=False), v311.connect("a", level=6)],
    ids=["malformed", "identifier", "level"],
)
def test_mqtt_3_1_4_5_nothing_after_a_refused_connect_is_processed(lab: Lab, older: Wire, refused: bytes) -> None:
    watcher, topic = subscriber(lab, lab.topic("x"), suffix="w"), lab.topic("x")
    older.send(refused + v311.publish(topic, b"no"))
    older.expect_refusal(Connack, 0x01, 0x02, silent=True)
    published(lab.client("p"), topic, b"yes")
    watcher.expect(Publish, payload=b"yes")
