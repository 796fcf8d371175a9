"""MQTT 5, 3.8 SUBSCRIBE: what is malformed, what is a Protocol Error, and what SUBACK says to the rest."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import NO_LOCAL, RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER, frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Publish, Suback
from tests.conformance.steps import published, published_meanwhile, subscribe, subscriber

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]


@clause("MQTT-3.8.1-1", v=5)
@pytest.mark.parametrize("flags", [0x00, 0x01, 0x03, 0x04, 0x06, 0x0A, 0x0F])
def test_mqtt_3_8_1_1_other_flags_are_malformed(lab: Lab, flags: int) -> None:
    client = lab.client()
    client.send(bytes([0x80 | flags]), v5.subscribe(1, lab.topic("x"))[1:])
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.8.3-1", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_8_3_1_a_topic_filter_is_utf8(lab: Lab, octets: bytes) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, lab.topic("good"), octets))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.8.3-1", v=5)
@pytest.mark.parametrize("text", ["\ufeffx", "Größe/°C/#", "漢字/+", "\U0001f600", "a b", "/", "//"])
def test_mqtt_3_8_3_1_text_of_any_language_is_a_topic_filter(lab: Lab, text: str) -> None:
    client = subscriber(lab, lab.topic(text))
    topic = lab.topic(text.replace("#", "x").replace("+", "x"))
    published_meanwhile(lab, topic)
    client.expect(Publish, topic=topic)


@clause("MQTT-3.8.3-2", v=5)
@pytest.mark.parametrize("props", ["00", "02 0b 01"], ids=["bare", "identifier"])
def test_mqtt_3_8_3_2_no_topic_filter_is_a_protocol_error(lab: Lab, props: str) -> None:
    client = lab.client()
    client.send(frame(0x82, bytes.fromhex("00 01" + props)))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.8.3-2", v=5)
@pytest.mark.parametrize("payload", ["00", "00 01", "00 05 61", "00 01 61", "00 01 61 00 00"])
def test_mqtt_3_8_3_2_a_payload_that_ends_too_early_is_malformed(lab: Lab, payload: str) -> None:
    client = lab.client()
    client.send(frame(0x82, bytes.fromhex("00 01 00" + payload)))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.8.3-3", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_8_3_3_no_local_keeps_a_clients_own_messages_from_it(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, NO_LOCAL | qos))
    published(client, topic, b"own", qos)
    published_meanwhile(lab, topic, b"another's", qos)
    client.expect(Publish, payload=b"another's")


@clause("MQTT-3.8.3-3", v=5)
def test_mqtt_3_8_3_3_without_no_local_they_come_back(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic)
    client.send(v5.publish(topic, b"own"))
    client.expect(Publish, payload=b"own")


@clause("MQTT-3.8.3-3", v=5)
def test_mqtt_3_8_3_3_no_local_is_each_subscriptions_own(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, NO_LOCAL))
    subscribe(client, lab.topic("#"), pid=2)
    client.send(v5.publish(topic, b"own"))
    client.expect(Publish, payload=b"own")


@clause("MQTT-3.8.3-4", v=5)
@pytest.mark.parametrize("options", [NO_LOCAL, NO_LOCAL | 2, NO_LOCAL | RETAIN_AS_PUBLISHED])
def test_mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error(lab: Lab, options: int) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, (f"$share/{lab.name()}/{lab.topic('x')}", options)))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.8.3-5", v=5)
@pytest.mark.parametrize("options", [0x40, 0x80, 0xC0, 0xC2])
def test_mqtt_3_8_3_5_reserved_option_bits_are_malformed(lab: Lab, options: int) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, (lab.topic("x"), options)))
    client.expect_refusal(Disconnect, 0x81)


@pytest.mark.parametrize("options", [0x03, 0x07, 0x30, 0x32], ids=["qos-3", "qos-3-local", "handling-3", "both"])
def test_option_values_that_do_not_exist_are_protocol_errors(lab: Lab, options: int) -> None:
    # 3.8.3.1: Maximum QoS 3, Retain Handling 3.
    client = lab.client()
    client.send(v5.subscribe(1, (lab.topic("x"), options)))
    client.expect_refusal(Disconnect, 0x82)


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ({"subscription_identifier": 0}, 0x82),
        ([("subscription_identifier", 1), ("subscription_identifier", 2)], 0x82),
        (b"\x0b\x80\x80\x80\x80\x01", 0x81),
        (b"\x0b", 0x81),
        ({"reason_string": "x"}, 0x81),
        ({"topic_alias": 1}, 0x81),
        (b"\x26\x00\x01a\x00\x01\xff", 0x81),
    ],
    ids=["zero", "twice", "too-large", "cut", "reason-string", "alias", "utf8"],
)
def test_a_subscribe_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.8.2.1
    client = lab.client()
    client.send(v5.subscribe(1, lab.topic("x"), props=props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("number", [1, 127, 128, 16_383, 16_384, 2_097_152, 268_435_455])
def test_a_subscription_identifier_of_any_length_comes_back(lab: Lab, number: int) -> None:
    # 3.8.2.1.2
    topic = lab.topic("x")
    client = lab.client("s")
    subscribe(client, topic, props={"subscription_identifier": number})
    published_meanwhile(lab, topic)
    client.expect(Publish, properties={"subscription_identifier": [number]})


def test_user_properties_of_a_subscribe_are_taken(lab: Lab) -> None:
    # 3.8.2.1.3; they mean nothing to the server.
    client = lab.client()
    subscribe(client, lab.topic("x"), props={"user_property": [("a", "1"), ("a", "2")]})


@clause("MQTT-3.8.4-1", "MQTT-3.8.4-2", v=5)
@pytest.mark.parametrize("pid", [1, 0x00FF, 0x0100, 0xFFFF])
def test_mqtt_3_8_4_1_suback_has_the_identifier_of_its_subscribe(lab: Lab, pid: int) -> None:
    client = lab.client()
    client.send(v5.subscribe(pid, lab.topic("x")))
    client.expect(Suback, pid=pid, reasons=(0,))


@clause("MQTT-3.8.4-5", v=5)
def test_mqtt_3_8_4_5_several_filters_are_several_subscriptions_with_one_suback(lab: Lab) -> None:
    names = [lab.topic(text) for text in ("a", "b", "c/+", "d/#")]
    client = subscriber(lab, *names)  # one SUBACK with four Reason Codes
    publisher = lab.client("p")
    for name in (*names[:2], lab.topic("c/x"), lab.topic("d/x/y"), lab.topic("d")):
        published(publisher, name)
        client.expect(Publish, topic=name)


@clause("MQTT-3.8.4-5", v=5)
def test_mqtt_3_8_4_5_the_same_filter_twice_is_replaced_by_the_second(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lab.client("s")
    client.send(v5.subscribe(1, (topic, 2), (topic, 1)))
    client.expect(Suback, reasons=(2, 1))
    published_meanwhile(lab, topic, qos=2)
    client.expect(Publish, qos=1)


@clause("MQTT-3.8.4-6", "MQTT-3.8.4-7", v=5)
@pytest.mark.parametrize("extra", [0, RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER, NO_LOCAL])
def test_mqtt_3_8_4_6_each_filter_is_granted_what_it_asked(lab: Lab, extra: int) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, *[(lab.topic(str(qos)), qos | extra) for qos in (2, 0, 1)]))
    client.expect(Suback, reasons=(2, 0, 1))
