"""MQTT 5, chapter 1: text that is not UTF-8, byte order marks, Variable Byte Integers, String Pairs."""

from collections.abc import Callable

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import CONNECT, PINGREQ, PUBLISH, SUBSCRIBE, v5
from tests.conformance.properties import sized
from tests.conformance.received import Connack, Disconnect, Publish, Suback
from tests.conformance.steps import published, subscribe, subscriber, taken
from tests.conformance.wire import Wire

# Bytes that no UTF-8 decoder may take: never used, too long, surrogate, above U+10FFFF, cut short.
ILL_FORMED = ["ff", "c0 af", "c0 80", "e0 80 af", "ed a0 80", "ed bf bf", "f4 90 80 80", "e2 82", "61 80"]
# Every place where a connected client writes text.
CARRIERS: dict[str, Callable[[bytes], bytes]] = {
    "topic_name": lambda text: v5.publish(text, b"x"),
    "content_type": lambda text: v5.publish("a", b"x", props=b"\x03" + sized(text)),
    "response_topic": lambda text: v5.publish("a", b"x", props=b"\x08" + sized(text)),
    "topic_filter": lambda text: v5.subscribe(1, text),
    "filter_to_unsubscribe": lambda text: v5.unsubscribe(1, text),
    "puback_reason": lambda text: v5.puback(1, 0, b"\x1f" + sized(text)),
    "pubrec_reason": lambda text: v5.pubrec(1, 0, b"\x1f" + sized(text)),
    "pubrel_reason": lambda text: v5.pubrel(1, 0, b"\x1f" + sized(text)),
    "pubcomp_reason": lambda text: v5.pubcomp(1, 0, b"\x1f" + sized(text)),
    "disconnect_reason": lambda text: v5.disconnect(0, b"\x1f" + sized(text)),
    "auth_method": lambda text: v5.auth(0x19, b"\x15" + sized(text)),
}
PAIRS: dict[str, Callable[[bytes], bytes]] = {
    "publish": lambda pair: v5.publish("a", b"x", props=pair),
    "subscribe": lambda pair: v5.subscribe(1, "a", props=pair),
    "unsubscribe": lambda pair: v5.unsubscribe(1, "a", props=pair),
    "puback": lambda pair: v5.puback(1, 0, pair),
    "disconnect": lambda pair: v5.disconnect(0, pair),
}


@clause("MQTT-1.5.4-1", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_mqtt_1_5_4_1_ill_formed_utf8_is_malformed(lab: Lab, carrier: str, octets: str) -> None:
    client = lab.client()
    client.send(CARRIERS[carrier](bytes.fromhex(octets)))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-1.5.4-1", v=5)
@pytest.mark.parametrize(
    "text", ["\u00e9", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010fffd"]
)
def test_mqtt_1_5_4_1_every_length_of_utf8_is_text(lab: Lab, text: str) -> None:
    client = subscriber(lab, lab.topic(text))
    published(lab.client("p"), lab.topic(text), b"x")
    client.expect(Publish, topic=lab.topic(text))


@clause("MQTT-1.5.4-2", v=5)
@pytest.mark.parametrize("octets", [b"\x00", b"a\x00", b"\x00a", b"a\x00b"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_mqtt_1_5_4_2_a_null_character_is_malformed(lab: Lab, carrier: str, octets: bytes) -> None:
    client = lab.client()
    client.send(CARRIERS[carrier](octets))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-1.5.4-3", v=5)
@pytest.mark.parametrize("mark", ["\ufeff{}", "{}/\ufeff", "{}/a\ufeffb"])
def test_mqtt_1_5_4_3_a_byte_order_mark_is_a_character_of_the_topic(lab: Lab, mark: str) -> None:
    marked, plain = mark.format(lab.name()), mark.format(lab.name()).replace("\ufeff", "")
    without = subscriber(lab, plain, suffix="w")
    client = subscriber(lab, marked)
    published(lab.client("p"), marked, b"x")
    client.expect(Publish, topic=marked)
    without.expect_alive()


@clause("MQTT-1.5.4-3", v=5)
def test_mqtt_1_5_4_3_a_byte_order_mark_stays_in_properties(lab: Lab) -> None:
    topic, props = lab.topic("x"), {"content_type": "\ufeffa", "user_property": [("\ufeff", "\ufeffb")]}
    client = subscriber(lab, topic)
    client.send(v5.publish(topic, b"x", props=props))
    client.expect(Publish, properties=props)


@clause("MQTT-1.5.5-1", v=5)
@pytest.mark.parametrize(
    "packet",
    [
        f"{PINGREQ:02x} 80 00",
        f"{PINGREQ:02x} 80 80 80 00",
        f"{PUBLISH:02x} 85 00 00 01 61 00 78",
        f"{PUBLISH:02x} 06 00 01 61 80 00 78",
        f"{PUBLISH:02x} 09 00 01 61 84 00 02 00 00 01",
        f"{PUBLISH:02x} 08 00 01 61 03 81 00 00 78",
        f"{SUBSCRIBE | 2:02x} 0a 00 01 03 0b 81 00 00 01 61 00",
        f"{SUBSCRIBE | 2:02x} 0b 00 01 04 0b 81 80 00 00 01 61 00",
    ],
    ids=[
        "remaining-length-2",
        "remaining-length-4",
        "publish",
        "no-properties",
        "property-length",
        "property-identifier",
        "subscription-identifier-2",
        "subscription-identifier-3",
    ],
)
def test_mqtt_1_5_5_1_a_padded_variable_byte_integer_is_malformed(lab: Lab, packet: str) -> None:
    client = lab.client()
    client.send(packet)
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-1.5.5-1", v=5)
def test_mqtt_1_5_5_1_a_padded_remaining_length_of_connect_is_malformed(wire: Wire) -> None:
    body = v5.connect("a")[2:]
    wire.send(bytes([CONNECT, len(body) | 0x80, 0]) + body)
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-1.5.5-1", v=5)
@pytest.mark.parametrize(
    "packet",
    [
        "30 80 80 80 80 01",
        "30 ff ff ff ff 7f",
        "30 0a 00 01 61 80 80 80 80 01 00 00",
        "82 0d 00 01 06 0b 80 80 80 80 01 00 01 61 00",
    ],
    ids=["remaining-length", "largest", "property-length", "subscription-identifier"],
)
def test_mqtt_1_5_5_1_a_fifth_byte_is_malformed(lab: Lab, packet: str) -> None:
    client = lab.client()
    client.send(packet)
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-1.5.5-1", v=5)
@pytest.mark.parametrize("identifier", [1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455])
def test_mqtt_1_5_5_1_the_broker_writes_the_fewest_bytes(lab: Lab, identifier: int) -> None:
    # Reading what comes fails on a longer form; here the value has to come back too.
    topic, client = lab.topic("x"), lab.client()
    subscribe(client, topic, props={"subscription_identifier": identifier})
    client.send(v5.publish(topic, b"x"))
    client.expect(Publish, properties={"subscription_identifier": [identifier]})


@clause("MQTT-1.5.5-1", v=5)
@pytest.mark.parametrize("length", [127, 128, 16383, 16384, 2097151, 2097152])
def test_mqtt_1_5_5_1_every_width_of_remaining_length_is_read_and_written(lab: Lab, length: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic)
    payload = b"x" * (length - len(v5.publish(topic)) + 2)
    client.send(v5.publish(topic, payload))
    width = 1 + (length > 127) + (length > 16383) + (length > 2097151)
    assert client.expect(Publish, payload=payload, within_s=10).size == 1 + width + length


@clause("MQTT-1.5.7-1", v=5)
@pytest.mark.parametrize("flaw", ["ff", "61 00 62", "ed a0 80"])
@pytest.mark.parametrize("packet", PAIRS)
def test_mqtt_1_5_7_1_a_string_pair_is_text_twice(lab: Lab, packet: str, flaw: str) -> None:
    octets = bytes.fromhex(flaw)
    for pair in (sized(octets) + sized("v"), sized("n") + sized(octets)):
        client = lab.client()
        client.send(PAIRS[packet](b"\x26" + pair))
        client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-1.5.7-1", v=5)
def test_mqtt_1_5_7_1_an_ill_formed_pair_in_connect_is_malformed(wire: Wire) -> None:
    wire.send(v5.connect("a", props=b"\x26" + sized("n") + sized(b"\xff")))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-1.5.7-1", v=5)
def test_mqtt_1_5_7_1_any_text_makes_a_pair(lab: Lab) -> None:
    topic, pairs = lab.topic("x"), [("", ""), ("n" * 65535, ""), ("\u00e9", "\U0001f600"), ("", "v" * 65535)]
    client = subscriber(lab, (topic, 1))
    client.send(v5.publish(topic, b"x", props={"user_property": pairs}))
    assert taken(client).properties == {"user_property": pairs}


@clause("MQTT-1.5.7-1", v=5)
def test_mqtt_1_5_7_1_a_pair_cut_short_is_malformed(lab: Lab) -> None:
    for cut in (1, 3, 4, 5):
        client = lab.client()
        client.send(v5.subscribe(1, "a", props=(b"\x26" + sized("n") + sized("v"))[: cut + 1]))
        client.expect_refusal(Disconnect, 0x81)
    good = lab.client()
    good.send(v5.subscribe(1, lab.topic(), props={"user_property": [("n", "v")]}))
    good.expect(Suback)
