"""MQTT 3.1.1, 3.3 PUBLISH: DUP, QoS, RETAIN, the Topic Name, overlapping Subscriptions."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5, v311
from tests.conformance.received import Puback, Publish, Pubrec
from tests.conformance.steps import heard, lasting, published, returned, subscribe, subscriber, taken
from tests.conformance.wire import Wire


@pytest.fixture
def publisher(lab: Lab) -> Wire:
    """Who causes what the other client sees."""
    return lab.client("p", dialect=v311)


def cleared(publisher: Wire, *topics: str) -> None:
    """Leave no Retained Message behind."""
    for topic in topics:
        publisher.send(v311.publish(topic, b"", retain=True))
    publisher.expect_alive()


@clause("MQTT-3.3.1-1", v=311)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_3_1_1_dup_is_set_on_redelivery(lab: Lab, publisher: Wire, qos: int) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, qos), dialect=v311)
    published(publisher, topic, b"x", qos)
    client.expect(Publish, dup=False)
    client.drop()
    returned(lab, dialect=v311).expect(Publish, payload=b"x", dup=True)


@clause("MQTT-3.3.1-2", v=311)
def test_mqtt_3_3_1_2_dup_is_not_set_at_qos_0(lab: Lab, publisher: Wire) -> None:
    # Sent by a client it is a violation; the broker's own is refused by every test that reads one.
    publisher.send(v311.publish(lab.topic("x"), b"x", qos=0, dup=True))
    publisher.expect_close()


@clause("MQTT-3.3.1-3", v=311)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_3_1_3_dup_coming_in_is_not_dup_going_out(lab: Lab, publisher: Wire, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, qos), dialect=v311)
    publisher.send(v311.publish(topic, b"x", qos=qos, pid=1, dup=True))
    publisher.send(v311.pubrel(1) if qos == 2 else b"")
    taken(client, payload=b"x", qos=qos, dup=False)


@clause("MQTT-3.3.1-4", v=311)
def test_mqtt_3_3_1_4_qos_3_ends_the_connection(lab: Lab) -> None:
    for first in ("36", "37", "3e", "3f"):
        client = lab.client(dialect=v311)
        client.send(first, v311.publish("a", b"x", qos=1, pid=1)[1:])
        client.expect_close()


@clause("MQTT-3.3.1-5", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_5_the_latest_retained_message_is_kept_with_its_qos(lab: Lab, publisher: Wire, qos: int) -> None:
    topic = lab.topic("x")
    published(publisher, topic, b"old", 1, retain=True)
    published(publisher, topic, b"new", qos, retain=True)
    client = subscriber(lab, (topic, 2), dialect=v311)
    taken(client, payload=b"new", qos=qos, retain=True)
    client.expect_alive()
    cleared(publisher, topic)


@clause("MQTT-3.3.1-6", "MQTT-3.3.1-8", v=311)
def test_mqtt_3_3_1_6_a_new_subscription_is_sent_each_retained_message(lab: Lab, publisher: Wire) -> None:
    topics = [lab.topic("a"), lab.topic("b"), lab.topic("b/c"), lab.topic("d/c")]
    for topic in topics:
        published(publisher, topic, topic.encode(), retain=True)
    wanted: dict[str, list[str]] = {
        lab.topic("#"): topics,
        lab.topic("+"): topics[:2],
        lab.topic("+/c"): topics[2:],
        lab.topic("b/#"): topics[1:3],
        lab.topic("b"): topics[1:2],
        lab.topic("e"): [],
    }
    for at, (filter, matching) in enumerate(wanted.items()):
        client = subscriber(lab, filter, suffix=f"s{at}", dialect=v311)
        found = [client.expect(Publish, retain=True, dup=False) for _ in matching]
        assert sorted(one.topic for one in found) == matching
        assert all(one.payload == one.topic.encode() for one in found)
        client.expect_nothing(for_s=0.1)
    cleared(publisher, *topics)


@clause("MQTT-3.3.1-7", v=311)
def test_mqtt_3_3_1_7_a_qos_0_message_takes_the_place_of_the_one_before(lab: Lab, publisher: Wire) -> None:
    topic = lab.topic("x")
    published(publisher, topic, b"old", 2, retain=True)
    published(publisher, topic, b"new", 0, retain=True)
    publisher.expect_alive()
    assert [one.payload for one in heard(subscriber(lab, (topic, 2), dialect=v311))] == [b"new"]
    cleared(publisher, topic)


@clause("MQTT-3.3.1-9", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_9_retain_is_not_set_for_an_established_subscription(lab: Lab, publisher: Wire, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), dialect=v311)
    published(publisher, topic, b"x", qos, retain=True)
    taken(client, payload=b"x", qos=qos, retain=False)
    cleared(publisher, topic)


@clause("MQTT-3.3.1-9", v=311)
def test_mqtt_3_3_1_9_nor_for_what_waited_in_its_session(lab: Lab, publisher: Wire) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1), dialect=v311).drop()
    published(publisher, topic, b"x", retain=True)
    client = returned(lab, dialect=v311)
    taken(client, payload=b"x", retain=False)
    client.expect_alive()  # a Session resumed is no new Subscription
    cleared(publisher, topic)


@clause("MQTT-3.3.1-10", "MQTT-3.3.1-11", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_10_an_empty_payload_removes_the_retained_message(lab: Lab, publisher: Wire, qos: int) -> None:
    topic = lab.topic("x")
    published(publisher, topic, b"kept", retain=True)
    watcher = subscriber(lab, (topic, 2), suffix="w", dialect=v311)
    taken(watcher, payload=b"kept", retain=True)
    published(publisher, topic, b"", qos, retain=True)
    taken(watcher, topic=topic, payload=b"", qos=qos, retain=False)
    subscriber(lab, (topic, 2), dialect=v311).expect_nothing()


@clause("MQTT-3.3.1-11", v=311)
def test_mqtt_3_3_1_11_an_empty_message_is_not_kept(lab: Lab, publisher: Wire) -> None:
    topic = lab.topic("x")
    published(publisher, topic, b"", retain=True)
    subscriber(lab, topic, dialect=v311).expect_nothing()


@clause("MQTT-3.3.1-12", v=311)
def test_mqtt_3_3_1_12_without_retain_nothing_is_kept_or_removed(lab: Lab, publisher: Wire) -> None:
    kept, plain = lab.topic("kept"), lab.topic("plain")
    published(publisher, kept, b"kept", retain=True)
    for payload in (b"other", b""):
        published(publisher, kept, payload)
        published(publisher, plain, payload)
    client = subscriber(lab, lab.topic("#"), dialect=v311)
    client.expect(Publish, topic=kept, payload=b"kept", retain=True)
    client.expect_nothing()
    cleared(publisher, kept)


@clause("MQTT-3.3.2-1", v=311)
@pytest.mark.parametrize("octets", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00"])
def test_mqtt_3_3_2_1_a_topic_name_is_utf8(publisher: Wire, octets: bytes) -> None:
    publisher.send(v311.publish(octets, b"x"))
    publisher.expect_close()


@clause("MQTT-3.3.2-1", v=311)
def test_mqtt_3_3_2_1_the_topic_name_comes_first(publisher: Wire) -> None:
    publisher.send("30 03 00 05 61")  # five bytes of name where one is left
    publisher.expect_close()


@clause("MQTT-3.3.2-2", v=311)
@pytest.mark.parametrize("name", ["#", "+", "a/#", "a/+/b", "a#", "a+"])
def test_mqtt_3_3_2_2_a_topic_name_holds_no_wildcard(lab: Lab, name: str) -> None:
    for qos in (0, 1, 2):
        client = lab.client(dialect=v311)
        client.send(v311.publish(name, b"x", qos=qos, pid=1 if qos else None))
        client.expect_close()


@clause("MQTT-3.3.2-3", v=311)
def test_mqtt_3_3_2_3_what_is_sent_has_the_topic_it_was_published_with(lab: Lab, publisher: Wire) -> None:
    client = subscriber(lab, lab.topic("+/#"), dialect=v311)
    for topic in (lab.topic("a"), lab.topic("a/b"), lab.topic("/"), lab.topic("\u00e9/+".replace("+", " "))):
        publisher.send(v311.publish(topic, b"x"))
        client.expect(Publish, topic=topic)


@clause("MQTT-3.3.4-1", v=311)
def test_mqtt_3_3_4_1_a_publish_is_answered_as_its_qos_asks(lab: Lab, publisher: Wire) -> None:
    topic = lab.topic("x")
    publisher.send(v311.publish(topic, b"x"))
    publisher.expect_nothing(for_s=0.1)
    publisher.send(v311.publish(topic, b"x", qos=1, pid=0x0102))
    publisher.expect_bytes("40 02 01 02")
    publisher.send(v311.publish(topic, b"x", qos=2, pid=0x0103))
    publisher.expect_bytes("50 02 01 03")
    publisher.send(v311.pubrel(0x0103))
    publisher.expect_bytes("70 02 01 03")


@clause("MQTT-3.3.5-1", v=311)
@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("second", [0, 1, 2])
def test_mqtt_3_3_5_1_overlapping_subscriptions_respect_the_highest_qos(
    lab: Lab, publisher: Wire, first: int, second: int
) -> None:
    topic = lab.topic("a")
    client = subscriber(lab, (topic, first), (lab.topic("+"), second), (lab.topic("#"), 0), dialect=v311)
    published(publisher, topic, b"x", 2)
    copies = [client.expect(Publish, payload=b"x"), *heard(client)]
    assert max(one.qos for one in copies) == max(first, second)
    assert len(copies) == 1 or not client.strict  # one for each is allowed; Bartizan sends one


@clause("MQTT-3.3.5-1", v=311)
def test_mqtt_3_3_5_1_without_the_higher_one_the_lower_remains(lab: Lab, publisher: Wire) -> None:
    topic = lab.topic("a")
    client = subscriber(lab, (topic, 2), (lab.topic("#"), 1), dialect=v311)
    client.send(v311.unsubscribe(2, topic))
    client.next_packet()
    published(publisher, topic, b"x", 2)
    taken(client, payload=b"x", qos=1)
    client.expect_alive()


@clause("MQTT-3.3.5-2", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_5_2_an_unauthorised_publish_reaches_nobody(lab: Lab, publisher: Wire, qos: int) -> None:
    # Nobody may publish below $SYS. Bartizan closes; a server may also answer as if nothing were.
    topic = f"$SYS/{lab.name()}"
    watcher = subscriber(lab, (topic, qos), dialect=v311)
    publisher.send(v311.publish(topic, b"x", qos=qos, pid=1 if qos else None))
    if publisher.strict:
        publisher.expect_close()
    elif qos:
        publisher.expect(Puback if qos == 1 else Pubrec, pid=1)
    watcher.expect_nothing()


@clause("MQTT-3.3.4-1", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_4_1_messages_cross_between_the_versions(lab: Lab, publisher: Wire, qos: int) -> None:
    topic, new = lab.topic("x"), lab.client("n", dialect=v5)
    subscribe(new, (topic, qos))
    published(publisher, topic, b"from 3.1.1", qos)
    taken(new, payload=b"from 3.1.1", qos=qos, properties={})
    old = subscriber(lab, (topic, qos), dialect=v311)
    props = {"content_type": "text/plain", "user_property": [("a", "1")], "message_expiry_interval": 60}
    sender = lab.client("m", dialect=v5)
    sender.send(v5.publish(topic, b"from 5", qos=qos, pid=1 if qos else None, props=props))
    sender.send(v5.pubrel(1) if qos == 2 else b"")
    taken(old, topic=topic, payload=b"from 5", qos=qos)


@clause("MQTT-3.3.2-3", v=311)
@pytest.mark.parametrize("size", [0, 1, 1000, 100000])
def test_mqtt_3_3_2_3_any_payload_is_carried_as_it_is(lab: Lab, publisher: Wire, size: int) -> None:
    topic, payload = lab.topic("x"), bytes(at % 256 for at in range(size))
    client = subscriber(lab, (topic, 1), dialect=v311)
    published(publisher, topic, payload)
    taken(client, payload=payload)
