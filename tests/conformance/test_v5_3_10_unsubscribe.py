"""MQTT 5, 3.10 UNSUBSCRIBE: what it deletes, what it leaves, and what is malformed."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Publish, Pubrel, Unsuback
from tests.conformance.steps import (
    identifier,
    lasting,
    published,
    published_meanwhile,
    returned,
    subscribe,
    subscriber,
)
from tests.conformance.wire import Wire

ILL_FORMED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00b", b"\xe2\x82"]
HEX = [octets.hex() for octets in ILL_FORMED]


def unsubscribe(client: Wire, *filters: str, reasons: tuple[int, ...] = (0,), pid: int = 9) -> None:
    """UNSUBSCRIBE, answered with these Reason Codes."""
    client.send(v5.unsubscribe(pid, *filters))
    client.expect(Unsuback, pid=pid, reasons=reasons)


@clause("MQTT-3.10.1-1", v=5)
@pytest.mark.parametrize("flags", [0x00, 0x01, 0x03, 0x04, 0x06, 0x0A, 0x0F])
def test_mqtt_3_10_1_1_other_flags_are_malformed(lab: Lab, flags: int) -> None:
    client = lab.client()
    client.send(bytes([0xA0 | flags]), v5.unsubscribe(1, lab.topic("x"))[1:])
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.10.3-1", v=5)
@pytest.mark.parametrize("octets", ILL_FORMED, ids=HEX)
def test_mqtt_3_10_3_1_a_topic_filter_is_utf8(lab: Lab, octets: bytes) -> None:
    client = lab.client()
    client.send(v5.unsubscribe(1, lab.topic("good"), octets))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.10.3-2", v=5)
def test_mqtt_3_10_3_2_no_topic_filter_is_a_protocol_error(lab: Lab) -> None:
    client = lab.client()
    client.send("a2 03 00 01 00")
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.10.3-2", v=5)
@pytest.mark.parametrize("payload", ["00", "00 05 61", "00 01 61 00", "00 01 61 00 01"])
def test_mqtt_3_10_3_2_a_payload_that_ends_too_early_is_malformed(lab: Lab, payload: str) -> None:
    client = lab.client()
    client.send(frame(0xA2, bytes.fromhex("00 01 00" + payload)))
    client.expect_refusal(Disconnect, 0x81)


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ({"subscription_identifier": 1}, 0x81),
        ({"reason_string": "x"}, 0x81),
        (b"\x26\x00\x01\xff\x00\x01a", 0x81),
    ],
    ids=["identifier", "reason-string", "utf8"],
)
def test_an_unsubscribe_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.10.2.1
    client = lab.client()
    client.send(v5.unsubscribe(1, lab.topic("x"), props=props))
    client.expect_refusal(Disconnect, reason)


def test_user_properties_of_an_unsubscribe_are_taken(lab: Lab) -> None:
    # 3.10.2.1.2
    client = subscriber(lab, lab.topic("x"))
    client.send(v5.unsubscribe(2, lab.topic("x"), props={"user_property": [("a", "1"), ("a", "2")]}))
    client.expect(Unsuback, pid=2, reasons=(0,))


@clause("MQTT-3.10.4-1", v=5)
@pytest.mark.parametrize("text", ["x", "+/x", "x/#", "+", "#", "/", "Größe"])
def test_mqtt_3_10_4_1_the_same_filter_deletes_the_subscription(lab: Lab, text: str) -> None:
    client = subscriber(lab, lab.topic(text))
    unsubscribe(client, lab.topic(text))
    unsubscribe(client, lab.topic(text), reasons=(0x11,))


@clause("MQTT-3.10.4-1", v=5)
@pytest.mark.parametrize("other", ["a/b", "a/#", "+/+", "a/+/", "A/+", "a/b ", "a", "#", "/a/+"])
def test_mqtt_3_10_4_1_any_other_filter_deletes_nothing(lab: Lab, other: str) -> None:
    client = subscriber(lab, lab.topic("a/+"))
    unsubscribe(client, lab.topic(other), reasons=(0x11,))
    published_meanwhile(lab, lab.topic("a/b"))
    client.expect(Publish, topic=lab.topic("a/b"))


@clause("MQTT-3.10.4-1", v=5)
def test_mqtt_3_10_4_1_a_shared_subscription_is_another_one(lab: Lab) -> None:
    topic, shared = lab.topic("x"), f"$share/{lab.name()}/{lab.topic('x')}"
    client = subscriber(lab, topic, shared)
    unsubscribe(client, shared)
    unsubscribe(client, shared, reasons=(0x11,))
    published_meanwhile(lab, topic, b"once")
    client.expect(Publish, payload=b"once")
    unsubscribe(client, topic)


@clause("MQTT-3.10.4-1", v=5)
def test_mqtt_3_10_4_1_anothers_subscription_is_left_alone(lab: Lab) -> None:
    topic = lab.topic("x")
    other = subscriber(lab, topic, suffix="other")
    client = subscriber(lab, topic)
    unsubscribe(client, topic)
    published_meanwhile(lab, topic, b"x")
    other.expect(Publish, payload=b"x")
    client.expect_alive()


@clause("MQTT-3.10.4-2", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_10_4_2_no_new_message_is_added(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, qos), (lab.topic("mark"), 0))
    unsubscribe(client, topic)
    publisher = lab.client("p")
    published(publisher, topic, b"no", qos)
    published(publisher, lab.topic("mark"), b"mark", 0)
    client.expect(Publish, payload=b"mark")


@clause("MQTT-3.10.4-2", v=5)
def test_mqtt_3_10_4_2_it_stays_deleted_in_the_session(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1))
    unsubscribe(client, topic)
    client.disconnect()
    published_meanwhile(lab, topic)
    again = returned(lab)
    again.expect_nothing(for_s=0.1)
    unsubscribe(again, topic, reasons=(0x11,))


@clause("MQTT-3.10.4-3", v=5)
def test_mqtt_3_10_4_3_a_qos_1_delivery_that_began_is_completed(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1))
    published_meanwhile(lab, topic, b"begun")
    pid = identifier(client.expect(Publish))
    unsubscribe(client, topic)
    client.drop()
    again = returned(lab)
    again.expect(Publish, pid=pid, payload=b"begun", dup=True)
    again.send(v5.puback(pid))
    again.expect_alive()


@clause("MQTT-3.10.4-3", v=5)
def test_mqtt_3_10_4_3_a_qos_2_delivery_that_began_is_completed(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    published_meanwhile(lab, topic, b"begun", 2)
    pid = identifier(client.expect(Publish))
    unsubscribe(client, topic)
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid, reason=0)
    client.send(v5.pubcomp(pid))
    client.expect_alive()


@clause("MQTT-3.10.4-4", "MQTT-3.10.4-5", v=5)
@pytest.mark.parametrize("pid", [1, 0x00FF, 0x0100, 0xFFFF])
def test_mqtt_3_10_4_4_unsuback_has_the_identifier_of_its_unsubscribe(lab: Lab, pid: int) -> None:
    client = subscriber(lab, lab.topic("x"))
    unsubscribe(client, lab.topic("x"), pid=pid)


@clause("MQTT-3.10.4-5", v=5)
def test_mqtt_3_10_4_5_it_comes_even_when_nothing_was_deleted(lab: Lab) -> None:
    unsubscribe(lab.client(), lab.topic("never"), reasons=(0x11,))


@clause("MQTT-3.10.4-6", v=5)
def test_mqtt_3_10_4_6_several_filters_are_several_unsubscribes_with_one_unsuback(lab: Lab) -> None:
    client = subscriber(lab, lab.topic("a"), lab.topic("b"), lab.topic("c"))
    unsubscribe(client, lab.topic("c"), lab.topic("a"), lab.topic("a"), reasons=(0, 0, 0x11))
    publisher = lab.client("p")
    for name in ("a", "c", "b"):
        published(publisher, lab.topic(name))
    client.expect(Publish, topic=lab.topic("b"))
    subscribe(client, lab.topic("a"), pid=10)
    published(publisher, lab.topic("a"))
    client.expect(Publish, topic=lab.topic("a"))
