"""MQTT 5, 3.3.2.3 PUBLISH Properties: what goes through a broker as it came, and what may not come."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5, v311
from tests.conformance.properties import Properties, Props, Value
from tests.conformance.received import Disconnect, Puback, Publish, Pubrec
from tests.conformance.steps import lasting, published, published_meanwhile, returned, subscriber

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]
EVERYTHING: dict[str, Value] = {
    "payload_format_indicator": 1,
    "content_type": "text/plain; charset=utf-8",
    "response_topic": "reply/to/me",
    "correlation_data": bytes(range(256)),
    "user_property": [("z", "1"), ("a", "2"), ("z", "1"), ("", ""), ("°", "漢")],
}


def forwarded(lab: Lab, props: Props, payload: bytes = b"text", *, qos: int = 1) -> Publish:
    """The message as a subscriber gets it."""
    topic = lab.topic("x")
    client = subscriber(lab, (topic, qos))
    published(lab.client("p"), topic, payload, qos=qos, props=props)
    return client.expect(Publish, payload=payload)


def refusal(lab: Lab, props: Props, *reasons: int, payload: bytes = b"x") -> None:
    """A PUBLISH with these properties ends the connection, and nobody gets it."""
    topic = lab.topic("x")
    watcher = subscriber(lab, topic, suffix="w")
    client = lab.client()
    client.send(v5.publish(topic, payload, props=props))
    client.expect_refusal(Disconnect, *reasons)
    published_meanwhile(lab, topic, b"later")
    watcher.expect(Publish, payload=b"later")


@clause("MQTT-3.3.2-4", v=5)
@pytest.mark.parametrize("indicator", [0, 1])
def test_mqtt_3_3_2_4_the_payload_format_indicator_is_forwarded(lab: Lab, indicator: int) -> None:
    props: Properties = {"payload_format_indicator": indicator}
    found = forwarded(lab, props).properties
    # Absent and 0 mean the same (3.3.2.3.2), but what came is what goes out.
    assert found == props


@clause("MQTT-3.3.2-4", v=5)
def test_mqtt_3_3_2_4_no_indicator_is_made_up(lab: Lab) -> None:
    assert forwarded(lab, None).properties == {}


@clause("MQTT-3.3.2-4", v=5)
def test_mqtt_3_3_2_4_there_are_two_payload_formats(lab: Lab) -> None:
    refusal(lab, {"payload_format_indicator": 2}, 0x82)


@pytest.mark.parametrize("payload", [b"\xff", b"\xc0\xaf", b"ok\xe2\x82"], ids=lambda payload: payload.hex())
def test_a_payload_that_is_not_the_text_it_claims_is_refused(lab: Lab, payload: bytes) -> None:
    # 3.3.2.3.2: the receiver may check, and then says 0x99 where there is an answer to say it in.
    topic, props = lab.topic("x"), {"payload_format_indicator": 1}
    watcher = subscriber(lab, (topic, 2), suffix="w")
    client = lab.client()
    client.send(v5.publish(topic, payload, qos=1, pid=1, props=props))
    client.expect(Puback, pid=1, reason=0x99)
    client.send(v5.publish(topic, payload, qos=2, pid=2, props=props))
    client.expect(Pubrec, pid=2, reason=0x99)
    published(client, topic, "Größe".encode(), props=props)
    watcher.expect(Publish, payload="Größe".encode())


def test_a_payload_of_unspecified_bytes_is_not_looked_at(lab: Lab) -> None:
    # 3.3.2.3.2: 0x00 says nothing about the payload, nor does saying nothing.
    for props in (None, {"payload_format_indicator": 0}):
        assert forwarded(lab, props, b"\xff\x00\xfe").payload == b"\xff\x00\xfe"


@clause("MQTT-3.3.2-13", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_3_2_13_a_response_topic_is_utf8(lab: Lab, octets: bytes) -> None:
    refusal(lab, b"\x08" + len(octets).to_bytes(2) + octets, 0x81)


@clause("MQTT-3.3.2-14", v=5)
@pytest.mark.parametrize("topic", ["#", "+", "a/#", "a/+/b", "a+"])
def test_mqtt_3_3_2_14_a_response_topic_has_no_wildcard(lab: Lab, topic: str) -> None:
    refusal(lab, {"response_topic": topic}, 0x82, 0x90)


@clause("MQTT-3.3.2-15", v=5)
@pytest.mark.parametrize("topic", ["a", "a/b/c", "/", "$x/y", "Größe", "x" * 60_000])
def test_mqtt_3_3_2_15_the_response_topic_is_forwarded(lab: Lab, topic: str) -> None:
    props: Properties = {"response_topic": topic}
    assert forwarded(lab, props).properties == props


@clause("MQTT-3.3.2-16", v=5)
@pytest.mark.parametrize("octets", [b"", b"\x00", bytes(range(256)), b"\xff" * 65_535], ids=len)
def test_mqtt_3_3_2_16_correlation_data_is_forwarded(lab: Lab, octets: bytes) -> None:
    props: Properties = {"correlation_data": octets}
    assert forwarded(lab, props).properties == props


@clause("MQTT-3.3.2-17", "MQTT-3.3.2-18", v=5)
@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1")],
        [("b", "1"), ("a", "2"), ("b", "0"), ("a", "2")],
        [("", ""), ("k", ""), ("", "v")],
        [(f"k{number % 7}", str(number)) for number in range(300)],
    ],
    ids=["one", "repeated", "empty", "many"],
)
@pytest.mark.parametrize("qos", [0, 2])
def test_mqtt_3_3_2_17_user_properties_are_forwarded_in_order(lab: Lab, pairs: list[tuple[str, str]], qos: int) -> None:
    props: Properties = {"user_property": pairs}
    assert forwarded(lab, props, qos=qos).properties == props


@clause("MQTT-3.3.2-18", v=5)
def test_mqtt_3_3_2_18_their_order_survives_the_queue_and_other_properties(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).disconnect()
    pairs: list[tuple[str, Value]] = [
        ("user_property", ("z", "1")),
        ("content_type", "t"),
        ("user_property", ("a", "2")),
        ("response_topic", "r"),
        ("user_property", ("m", "3")),
    ]
    published_meanwhile(lab, topic, props=pairs)
    found = returned(lab).expect(Publish).properties["user_property"]
    assert found == [("z", "1"), ("a", "2"), ("m", "3")]


@clause("MQTT-3.3.2-18", v=5)
@pytest.mark.parametrize("half", ["name", "value"])
def test_mqtt_3_3_2_18_both_halves_of_a_user_property_are_utf8(lab: Lab, half: str) -> None:
    good, bad = b"\x00\x01a", b"\x00\x01\xff"
    refusal(lab, b"\x26" + (bad + good if half == "name" else good + bad), 0x81)


@clause("MQTT-3.3.2-19", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_3_2_19_a_content_type_is_utf8(lab: Lab, octets: bytes) -> None:
    refusal(lab, b"\x03" + len(octets).to_bytes(2) + octets, 0x81)


@clause("MQTT-3.3.2-20", v=5)
@pytest.mark.parametrize(
    "text", ["", "text/plain", "°漢\U0001f600", "x" * 65_535], ids=["empty", "mime", "any", "long"]
)
def test_mqtt_3_3_2_20_the_content_type_is_forwarded(lab: Lab, text: str) -> None:
    props: Properties = {"content_type": text}
    assert forwarded(lab, props).properties == props


@clause("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-20", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_2_4_all_of_them_together_are_forwarded(lab: Lab, qos: int) -> None:
    assert forwarded(lab, EVERYTHING, qos=qos).properties == EVERYTHING


@clause("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-20", v=5)
def test_mqtt_3_3_2_4_all_of_them_together_survive_the_queue(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).disconnect()
    published_meanwhile(lab, topic, props=EVERYTHING)
    returned(lab).expect(Publish, properties=EVERYTHING)


def test_a_3_1_1_subscriber_gets_the_message_without_properties(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1), dialect=v311)
    published(lab.client("p"), topic, b"text", props=EVERYTHING)
    client.expect(Publish, topic=topic, payload=b"text", qos=1)
