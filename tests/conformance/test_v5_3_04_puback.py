"""MQTT 5, 3.4 PUBACK: both ways; its short forms, Reason Codes and properties."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Puback, Publish
from tests.conformance.steps import cramped, identifier, lasting, published, returned, subscriber
from tests.conformance.wire import Wire

# Table 3-4, without Success and No matching subscribers.
REFUSALS = (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
EXPLAINED: dict[str, str | list[tuple[str, str]]] = {
    "reason_string": "because",
    "user_property": [("b", "1"), ("a", "2"), ("b", "1")],
}


# A topic no client of the open lab may publish to.
DENIED = "$SYS/broker/conformance"


def offered(lab: Lab) -> tuple[Wire, int]:
    """A subscriber who takes one message at a time, and the first of two that wait for it."""
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1), props={"receive_maximum": 1})
    publisher = lab.client("p")
    published(publisher, topic, b"first")
    published(publisher, topic, b"second")
    return client, identifier(client.expect(Publish, payload=b"first"))


@clause("MQTT-3.4.2-1", v=5)
def test_mqtt_3_4_2_1_a_message_that_somebody_gets_is_a_success(lab: Lab) -> None:
    topic = lab.topic("x")
    subscriber(lab, topic)
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=1, pid=9))
    publisher.expect(Puback, pid=9, reason=0x00)


@clause("MQTT-3.4.2-1", v=5)
def test_mqtt_3_4_2_1_a_message_that_nobody_gets_may_say_so(lab: Lab) -> None:
    publisher = lab.client("p")
    publisher.send(v5.publish(lab.topic("nobody"), b"x", qos=1, pid=9))
    reason = publisher.expect(Puback, pid=9).reason
    assert reason == 0x10 or (reason == 0x00 and not lab.target.strict)


@clause("MQTT-3.4.2-1", v=5)
def test_mqtt_3_4_2_1_a_message_that_is_not_allowed_is_told_so(lab: Lab) -> None:
    watcher = lab.client("w")
    watcher.send(v5.subscribe(1, DENIED))
    watcher.next_packet()
    publisher = lab.client("p")
    publisher.send(v5.publish(DENIED, b"x", qos=1, pid=9))
    assert publisher.expect(Puback, pid=9).reason == 0x87 or not lab.target.strict
    publisher.expect_alive()
    watcher.expect_nothing(for_s=0.1)


@clause("MQTT-3.4.2-1", v=5)
@pytest.mark.parametrize("reason", [None, 0x00, 0x10, *REFUSALS])
def test_mqtt_3_4_2_1_every_reason_of_the_table_acknowledges(lab: Lab, reason: int | None) -> None:
    client, pid = offered(lab)
    client.send(v5.puback(pid, reason))
    client.expect(Publish, payload=b"second")


@clause("MQTT-3.4.2-1", v=5)
@pytest.mark.parametrize("reason", [0x01, 0x02, 0x11, 0x7F, 0x81, 0x82, 0x92, 0xFF])
def test_mqtt_3_4_2_1_any_other_reason_is_refused(lab: Lab, reason: int) -> None:
    client, pid = offered(lab)
    client.send(v5.puback(pid, reason))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-3.4.2-1", v=5)
def test_mqtt_3_4_2_1_a_message_refused_is_not_sent_again(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1))
    published(lab.client("p"), topic)
    client.send(v5.puback(identifier(client.expect(Publish)), 0x97))
    client.expect_alive()
    client.drop()
    returned(lab).expect_nothing(for_s=0.2)


@pytest.mark.parametrize("tail", ["", "00", "00 00", "10 00"])
def test_the_end_of_a_puback_may_be_left_out(lab: Lab, tail: str) -> None:
    # 3.4.2.1: without a Reason Code it is 0x00; 3.4.2.2.1: without a length there are no properties.
    client, pid = offered(lab)
    client.send(frame(0x40, pid.to_bytes(2) + bytes.fromhex(tail)))
    client.expect(Publish, payload=b"second")


def test_a_puback_may_be_explained(lab: Lab) -> None:
    client, pid = offered(lab)
    client.send(v5.puback(pid, 0x80, EXPLAINED))
    client.expect(Publish, payload=b"second")


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ([("reason_string", "a"), ("reason_string", "b")], 0x82),
        ({"content_type": "x"}, 0x81),
        ({"subscription_identifier": 1}, 0x81),
        (b"\x1f\x00\x01\xff", 0x81),
        (b"\x1f\x00\x05a", 0x81),
    ],
    ids=["twice", "content-type", "identifier", "utf8", "short"],
)
def test_a_puback_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.4.2.2
    client, pid = offered(lab)
    client.send(v5.puback(pid, 0x00, props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("body", ["", "00", "00 01 00 00 00", "00 01 00 05"])
def test_a_puback_of_the_wrong_length_is_malformed(lab: Lab, body: str) -> None:
    client = lab.client()
    client.send(frame(0x40, bytes.fromhex(body)))
    client.expect_refusal(Disconnect, 0x81)


@pytest.mark.parametrize("first", [0x41, 0x42, 0x44, 0x48])
def test_a_puback_with_flags_is_malformed(lab: Lab, first: int) -> None:
    client, pid = offered(lab)
    client.send(frame(first, pid.to_bytes(2)))
    client.expect_refusal(Disconnect, 0x81)


def test_a_puback_for_nothing_changes_nothing(lab: Lab) -> None:
    # No Reason Code says this to a PUBACK; what is in flight stays in flight.
    client, pid = offered(lab)
    client.send(v5.puback(pid % 0xFFFF + 1))
    client.expect_alive()
    client.expect_nothing(for_s=0.1)
    client.send(v5.puback(pid))
    client.expect(Publish, payload=b"second")


@clause("MQTT-3.4.2-2", "MQTT-3.4.2-3", v=5)
def test_mqtt_3_4_2_2_a_puback_fits_the_clients_maximum_packet_size(lab: Lab) -> None:
    client, limit = cramped(lab)
    for pid, packet in enumerate(
        [
            v5.publish(lab.topic("nobody"), b"x", qos=1, pid=1),
            v5.publish(lab.topic("nobody"), b"\xff", qos=1, pid=2, props={"payload_format_indicator": 1}),
            v5.publish(DENIED, b"x", qos=1, pid=3),
        ],
        start=1,
    ):
        client.send(packet)
        assert client.expect(Puback, pid=pid).size <= limit
