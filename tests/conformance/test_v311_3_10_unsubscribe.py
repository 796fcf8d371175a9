"""MQTT 3.1.1, 3.6 PUBREL, 3.10 UNSUBSCRIBE and 3.12 PINGREQ."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import PUBREL, UNSUBSCRIBE, frame, v311
from tests.conformance.received import Publish, Pubrec, Pubrel, Unsuback
from tests.conformance.steps import published, subscriber
from tests.conformance.wire import Wire


def said(lab: Lab, octets: bytes) -> Wire:
    """A client that has just said this."""
    client = lab.client(dialect=v311)
    client.send(octets)
    return client


@clause("MQTT-3.6.1-1", v=311)
@pytest.mark.parametrize("flags", [flags for flags in range(16) if flags != 2])
def test_mqtt_3_6_1_1_other_flags_end_the_connection(lab: Lab, flags: int) -> None:
    client = lab.client(dialect=v311)
    client.send(v311.publish(lab.topic("x"), b"x", qos=2, pid=1))
    client.expect(Pubrec, pid=1)
    client.send(bytes([PUBREL | flags]) + v311.pubrel(1)[1:])
    client.expect_close()


@clause("MQTT-3.10.1-1", v=311)
@pytest.mark.parametrize("flags", [flags for flags in range(16) if flags != 2])
def test_mqtt_3_10_1_1_other_flags_end_the_connection(lab: Lab, flags: int) -> None:
    said(lab, bytes([UNSUBSCRIBE | flags]) + v311.unsubscribe(1, "a")[1:]).expect_close()


@clause("MQTT-3.10.3-1", v=311)
@pytest.mark.parametrize("octets", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00"])
def test_mqtt_3_10_3_1_a_topic_filter_is_utf8(lab: Lab, octets: bytes) -> None:
    said(lab, v311.unsubscribe(1, "good", octets)).expect_close()


@clause("MQTT-3.10.3-1", v=311)
def test_mqtt_3_10_3_1_filters_follow_one_another_to_the_end(lab: Lab) -> None:
    whole = v311.unsubscribe(1, "a", "bc")
    for length in range(len(whole) - 2):
        if length != 5:  # one filter, whole
            said(lab, frame(whole[0], whole[2 : 2 + length])).expect_close()


@clause("MQTT-3.10.3-2", v=311)
def test_mqtt_3_10_3_2_an_unsubscribe_without_filter_ends_the_connection(lab: Lab) -> None:
    said(lab, v311.unsubscribe(1)).expect_close()


@clause("MQTT-3.10.4-1", "MQTT-3.10.4-5", v=311)
def test_mqtt_3_10_4_1_only_the_same_characters_are_the_same_filter(lab: Lab) -> None:
    topic, other = lab.topic("a/b"), lab.topic("+/b")
    client = subscriber(lab, other, dialect=v311)
    near = [topic, lab.topic("#"), lab.topic("+/B"), lab.topic("+/b/"), f"/{other}", "+/+/b", lab.topic("+/+")]
    client.send(v311.unsubscribe(2, *near))
    client.expect_bytes("b0 02 00 02")
    published(lab.client("p", dialect=v311), topic, b"x")
    client.expect(Publish, payload=b"x")
    client.send(v311.unsubscribe(3, other))
    client.expect(Unsuback, pid=3)
    published(lab.client("p", dialect=v311), topic, b"y")
    client.expect_alive()


@clause("MQTT-3.10.4-2", v=311)
def test_mqtt_3_10_4_2_a_deleted_subscription_takes_no_new_message(lab: Lab) -> None:
    topic, kept = lab.topic("x"), lab.topic("#")
    client, publisher = subscriber(lab, (topic, 1), (kept, 0), dialect=v311), lab.client("p", dialect=v311)
    client.send(v311.unsubscribe(2, topic))
    client.expect(Unsuback)
    published(publisher, topic, b"x")
    client.expect(Publish, qos=0)  # by the other Subscription alone
    client.send(v311.unsubscribe(3, kept))
    client.expect(Unsuback)
    published(publisher, topic, b"y")
    client.expect_nothing()


@clause("MQTT-3.10.4-3", v=311)
def test_mqtt_3_10_4_3_a_delivery_that_began_is_completed(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p", dialect=v311)
    client = lab.client("s", dialect=v311, clean=False)
    client.send(v311.subscribe(1, (topic, 2)))
    client.next_packet()
    published(publisher, topic, b"1", 2)
    published(publisher, topic, b"2", 2)
    first, second = client.expect(Publish).pid or 0, client.expect(Publish).pid or 0
    client.send(v311.unsubscribe(2, topic))
    client.expect(Unsuback)
    client.send(v311.pubrec(first))
    client.expect(Pubrel, pid=first)
    client.send(v311.pubcomp(first))
    client.expect_alive()
    client.drop()
    again = lab.dial(v311)
    again.send(v311.connect(lab.name("s"), clean=False))
    again.expect_bytes("20 02 01 00")
    again.expect(Publish, payload=b"2", dup=True, pid=second)


@clause("MQTT-3.10.4-4", v=311)
def test_mqtt_3_10_4_4_unsubscribe_is_answered_by_unsuback(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic, dialect=v311)
    client.send(v311.unsubscribe(0xABCD, topic))
    client.expect_bytes("b0 02 ab cd")


@clause("MQTT-3.10.4-5", v=311)
def test_mqtt_3_10_4_5_unsuback_comes_when_nothing_was_deleted(lab: Lab) -> None:
    client = said(lab, v311.unsubscribe(0xABCD, lab.topic("never")))
    client.expect_bytes("b0 02 ab cd")


@clause("MQTT-3.10.4-6", v=311)
def test_mqtt_3_10_4_6_several_filters_get_one_unsuback(lab: Lab) -> None:
    topics = [lab.topic(str(at)) for at in range(4)]
    client, publisher = subscriber(lab, *topics, dialect=v311), lab.client("p", dialect=v311)
    client.send(v311.unsubscribe(2, topics[0], lab.topic("never"), topics[2], topics[0]))
    client.expect_bytes("b0 02 00 02")
    for topic in topics:
        published(publisher, topic, b"x")
    client.expect(Publish, topic=topics[1])
    client.expect(Publish, topic=topics[3])
    client.expect_alive()


@clause("MQTT-3.12.4-1", v=311)
def test_mqtt_3_12_4_1_pingreq_is_answered_by_pingresp(lab: Lab) -> None:
    client = said(lab, bytes.fromhex("c0 00 c0 00"))
    client.expect_bytes("d0 00 d0 00")
    client.expect_nothing()
