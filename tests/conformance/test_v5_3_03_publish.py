"""MQTT 5, 3.3 PUBLISH: DUP, QoS, the Topic Name, the answers, and what a malformed one gets."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Puback, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.steps import identifier, lasting, published, published_meanwhile, returned, subscriber

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]


@clause("MQTT-3.3.1-1", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_3_1_1_a_message_sent_again_has_dup(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, qos))
    published_meanwhile(lab, topic, b"once", qos=qos)
    pid = identifier(client.expect(Publish, dup=False))
    client.drop()
    returned(lab).expect(Publish, topic=topic, payload=b"once", qos=qos, pid=pid, dup=True)


@clause("MQTT-3.3.1-1", v=5)
def test_mqtt_3_3_1_1_a_queued_message_is_no_redelivery(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).disconnect()
    published_meanwhile(lab, topic, b"queued")
    returned(lab).expect(Publish, payload=b"queued", dup=False)


@clause("MQTT-3.3.1-2", v=5)
def test_mqtt_3_3_1_2_dup_at_qos_0_is_malformed(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x", dup=True))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.3.1-2", v=5)
def test_mqtt_3_3_1_2_dup_does_not_reach_a_qos_0_subscription(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 0))
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=1, pid=1, dup=True))
    client.expect(Publish, qos=0, dup=False)


@clause("MQTT-3.3.1-3", v=5)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("dup", [False, True])
def test_mqtt_3_3_1_3_dup_in_is_not_dup_out(lab: Lab, qos: int, dup: bool) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=qos, pid=1, dup=dup))
    publisher.expect(Puback if qos == 1 else Pubrec, pid=1, reason=0)
    publisher.send(v5.pubrel(1) if qos == 2 else v5.pingreq())
    client.expect(Publish, qos=qos, dup=False)


@clause("MQTT-3.3.1-4", v=5)
@pytest.mark.parametrize("first", ["36", "37", "3e", "3f"])
def test_mqtt_3_3_1_4_qos_3_is_malformed(lab: Lab, first: str) -> None:
    client = lab.client()
    client.send(first, v5.publish(lab.topic("x"), b"x", pid=1)[1:])
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.3.2-1", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
@pytest.mark.parametrize("qos", [0, 1])
def test_mqtt_3_3_2_1_a_topic_name_is_utf8(lab: Lab, octets: bytes, qos: int) -> None:
    client = lab.client()
    client.send(v5.publish(octets, b"x", qos=qos, pid=1 if qos else None))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.3.2-1", v=5)
@pytest.mark.parametrize("text", ["\ufeffx", "Größe/°C", "漢字", "\U0001f600", "a b"])
def test_mqtt_3_3_2_1_text_of_any_language_is_a_topic_name(lab: Lab, text: str) -> None:
    topic = lab.topic(text)
    client = subscriber(lab, topic)
    published(client, topic, qos=0)
    client.expect(Publish, topic=topic)


@clause("MQTT-3.3.2-1", v=5)
@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", b"\x00\x05abcd", b"\x00\x01a", b"\x00\x01a\x05", b"\x00\x01a\x02\x01"],
    ids=lambda body: body.hex() or "empty",
)
def test_mqtt_3_3_2_1_a_publish_that_ends_too_early_is_malformed(lab: Lab, body: bytes) -> None:
    client = lab.client()
    client.send(frame(0x30, body))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.3.2-2", v=5)
@pytest.mark.parametrize("name", ["#", "+", "a/#", "a/+/b", "a+", "#/a", "a#"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_2_2_a_topic_name_with_a_wildcard_is_refused(lab: Lab, name: str, qos: int) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic(name), b"x", qos=qos, pid=1 if qos else None))
    client.expect_refusal(Disconnect, 0x90)


@clause("MQTT-3.3.2-3", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_2_3_a_subscriber_gets_what_its_filter_matches(lab: Lab, qos: int) -> None:
    client = subscriber(lab, (lab.topic("a/+/c"), qos))
    publisher = lab.client("p")
    for name in ("a", "a/c", "a/b/c/d", "a/b/C", "b/b/c", "a/b/c/"):
        published(publisher, lab.topic(name), b"no", qos=qos)
    published(publisher, lab.topic("a//c"), b"yes", qos=qos)
    client.expect(Publish, topic=lab.topic("a//c"), payload=b"yes", qos=qos)


@clause("MQTT-3.3.4-1", v=5)
def test_mqtt_3_3_4_1_qos_0_has_no_answer(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x"))
    client.expect_alive()
    client.expect_nothing()


@clause("MQTT-3.3.4-1", v=5)
@pytest.mark.parametrize("pid", [1, 0x00FF, 0x0100, 0xFFFF])
def test_mqtt_3_3_4_1_qos_1_is_answered_by_puback(lab: Lab, pid: int) -> None:
    client = subscriber(lab, lab.topic("x"))
    publisher = lab.client("p")
    publisher.send(v5.publish(lab.topic("x"), b"x", qos=1, pid=pid))
    publisher.expect(Puback, pid=pid, reason=0)
    client.expect(Publish)


@clause("MQTT-3.3.4-1", v=5)
@pytest.mark.parametrize("pid", [1, 0x00FF, 0x0100, 0xFFFF])
def test_mqtt_3_3_4_1_qos_2_is_answered_by_pubrec(lab: Lab, pid: int) -> None:
    client = subscriber(lab, lab.topic("x"))
    publisher = lab.client("p")
    publisher.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
    publisher.expect(Pubrec, pid=pid, reason=0)
    publisher.send(v5.pubrel(pid))
    publisher.expect(Pubcomp, pid=pid, reason=0)
    client.expect(Publish)


@clause("MQTT-3.3.4-1", v=5)
@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 300_000, 2_100_000])
def test_mqtt_3_3_4_1_a_payload_of_any_size_arrives_whole(lab: Lab, size: int) -> None:
    topic, payload = lab.topic("x"), bytes(number * 31 % 251 for number in range(size))
    client = subscriber(lab, (topic, 2))
    published(lab.client("p"), topic, payload, qos=2)
    received = client.expect(Publish, within_s=10)
    assert received.payload == payload
    client.send(v5.pubrec(identifier(received)))
    client.expect(Pubrel)


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ([("payload_format_indicator", 1), ("payload_format_indicator", 1)], 0x82),
        ([("message_expiry_interval", 1), ("message_expiry_interval", 1)], 0x82),
        ([("topic_alias", 1), ("topic_alias", 1)], 0x82),
        ([("response_topic", "a"), ("response_topic", "a")], 0x82),
        ([("correlation_data", b"a"), ("correlation_data", b"a")], 0x82),
        ([("content_type", "a"), ("content_type", "a")], 0x82),
        ({"session_expiry_interval": 1}, 0x81),
        ({"reason_string": "why"}, 0x81),
        (b"\x7f\x00", 0x81),
        (b"\x02\x00\x00", 0x81),
        (b"\x26\x00\x01a", 0x81),
    ],
)
def test_a_publish_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.3.2.3: including one of these more than once is a Protocol Error.
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x", props=props))
    client.expect_refusal(Disconnect, reason)
