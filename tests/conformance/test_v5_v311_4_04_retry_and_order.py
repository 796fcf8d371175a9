"""4.4 Message delivery retry, 4.5 Message receipt and 4.6 Message ordering, both versions."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Dialect, v5
from tests.conformance.received import Publish, Pubrel
from tests.conformance.steps import all_taken, in_both, lasting, poured, published, returned, subscriber, taken


@clause("MQTT-4.4.0-1", v=5)
@clause("MQTT-4.4.0-1", v=311)
@in_both
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_4_0_1_a_resumed_session_resends_what_is_unacknowledged(lab: Lab, dialect: Dialect, qos: int) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, qos), dialect=dialect)
    published(lab.client("p", dialect=dialect), topic, b"x", qos)
    pid = client.expect(Publish, payload=b"x", dup=False).pid
    for _ in range(2):
        client.drop()
        client = returned(lab, dialect=dialect)
        client.expect(Publish, topic=topic, payload=b"x", qos=qos, dup=True, retain=False, pid=pid)


@clause("MQTT-4.4.0-1", v=5)
@clause("MQTT-4.4.0-1", v=311)
@in_both
def test_mqtt_4_4_0_1_a_resumed_session_resends_pubrel(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 2), dialect=dialect)
    published(lab.client("p", dialect=dialect), topic, b"x", 2)
    pid = client.expect(Publish).pid or 0
    client.send(dialect.pubrec(pid))
    client.expect(Pubrel, pid=pid)
    for _ in range(2):
        client.drop()
        client = returned(lab, dialect=dialect)
        client.expect(Pubrel, pid=pid)
        client.expect_alive()


@clause("MQTT-4.4.0-1", v=5)
@clause("MQTT-4.4.0-1", v=311)
@in_both
def test_mqtt_4_4_0_1_nothing_is_resent_while_connected(lab: Lab, dialect: Dialect) -> None:
    first, second = lab.topic("x"), lab.topic("y")
    client = lasting(lab, (first, 1), (second, 2), dialect=dialect)
    publisher = lab.client("p", dialect=dialect)
    published(publisher, first, b"x", 1)
    published(publisher, second, b"x", 2)
    client.expect(Publish, qos=1)
    client.send(dialect.pubrec(client.expect(Publish, qos=2).pid or 0))
    client.expect(Pubrel)
    client.expect_nothing(for_s=2)


@clause("MQTT-4.4.0-1", v=5)
@clause("MQTT-4.4.0-1", v=311)
@in_both
def test_mqtt_4_4_0_1_a_clean_start_is_sent_nothing_again(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1), dialect=dialect)
    published(lab.client("p", dialect=dialect), topic, b"x")
    client.expect(Publish)
    client.drop()
    lab.client("s", dialect=dialect, clean=True).expect_nothing()


@clause("MQTT-4.4.0-1", v=5)
def test_mqtt_4_4_0_1_what_is_resent_keeps_its_properties(lab: Lab) -> None:
    topic = lab.topic("x")
    props = {"content_type": "t", "correlation_data": b"\x00\x01", "user_property": [("b", "1"), ("a", "2")]}
    client, publisher = lasting(lab, (topic, 1)), lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=1, pid=1, props=props))
    client.expect(Publish, properties=props)
    client.drop()
    returned(lab).expect(Publish, properties=props, dup=True)


@clause("MQTT-4.4.0-2", v=5)
@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x97, 0x99])
def test_mqtt_4_4_0_2_a_refusing_puback_acknowledges(lab: Lab, reason: int) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1))
    published(lab.client("p"), topic, b"x")
    client.send(v5.puback(client.expect(Publish).pid or 0, reason))
    client.expect_alive()
    client.drop()
    returned(lab).expect_nothing()


@clause("MQTT-4.4.0-2", v=5)
@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x97, 0x99])
def test_mqtt_4_4_0_2_a_refusing_pubrec_ends_the_exchange(lab: Lab, reason: int) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 2))
    published(lab.client("p"), topic, b"x", 2)
    client.send(v5.pubrec(client.expect(Publish).pid or 0, reason))
    client.expect_alive()  # no PUBREL in its place
    client.drop()
    returned(lab).expect_nothing()


@clause("MQTT-4.5.0-1", v=5)
@clause("MQTT-4.5.0-1", v=311)
@in_both
def test_mqtt_4_5_0_1_every_matching_session_gets_the_message(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("a/b")
    filters = [topic, lab.topic("+/b"), lab.topic("a/+"), lab.topic("#"), lab.topic("a/b/#"), lab.topic("a/#")]
    clients = [subscriber(lab, (one, 1), suffix=f"s{at}", dialect=dialect) for at, one in enumerate(filters)]
    lasting(lab, (topic, 1), suffix="gone", dialect=dialect).drop()
    other = subscriber(lab, lab.topic("b/#"), lab.topic("+/a"), suffix="o", dialect=dialect)
    published(lab.client("p", dialect=dialect), topic, b"x")
    for client in [*clients, returned(lab, "gone", dialect=dialect)]:
        taken(client, topic=topic, payload=b"x", qos=1)
    other.expect_nothing()


@clause("MQTT-4.5.0-1", v=5)
@clause("MQTT-4.5.0-1", v=311)
@in_both
def test_mqtt_4_5_0_1_the_publisher_is_a_subscriber_like_others(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic, dialect=dialect)
    client.send(dialect.publish(topic, b"mine"))
    client.expect(Publish, payload=b"mine")


@clause("MQTT-4.6.0-1", v=311)
@in_both
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_6_0_1_publish_is_resent_in_the_original_order(lab: Lab, dialect: Dialect, qos: int) -> None:
    topics = [lab.topic("b"), lab.topic("a"), lab.topic("c")]
    client = lasting(lab, (lab.topic("#"), qos), dialect=dialect)
    publisher = lab.client("p", dialect=dialect)
    for at in range(9):
        published(publisher, topics[at % 3], b"%d" % at, qos)
    sent = [client.expect(Publish, payload=b"%d" % at).pid for at in range(9)]
    # Acknowledged out of turn, the others keep their order.
    client.send(dialect.puback(sent[4] or 0) if qos == 1 else dialect.pubrec(sent[4] or 0))
    if qos == 2:
        client.expect(Pubrel)
        client.send(dialect.pubcomp(sent[4] or 0))
    client.expect_alive()
    client.drop()
    again = returned(lab, dialect=dialect)
    for at in (0, 1, 2, 3, 5, 6, 7, 8):
        again.expect(Publish, payload=b"%d" % at, pid=sent[at], dup=True)


@clause("MQTT-4.6.0-5", v=5)
@clause("MQTT-4.6.0-5", "MQTT-4.6.0-6", v=311)
@in_both
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_4_6_0_5_messages_of_one_topic_and_qos_keep_their_order(
    lab: Lab, dialect: Dialect, qos: int, granted: int
) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, granted), dialect=dialect)
    poured(lab.client("p", dialect=dialect), topic, 100, qos)
    found = all_taken(client, 100)
    assert [int(message.payload) for message in found] == list(range(1, 101))
    assert {message.qos for message in found} == {min(qos, granted)}


@clause("MQTT-4.6.0-5", v=5)
def test_mqtt_4_6_0_5_order_is_kept_through_queue_and_return(lab: Lab) -> None:
    # Some in flight, some queued behind a Receive Maximum of 2, some while the client is away.
    topic, kept = lab.topic("x"), {"session_expiry_interval": 30, "receive_maximum": 2}
    client = lab.client("s", clean=False, props=kept)
    client.send(v5.subscribe(1, (topic, 1)))
    client.next_packet()
    publisher = lab.client("p")
    for at in range(5):
        published(publisher, topic, b"%d" % at)
    assert [client.expect(Publish).payload for _ in range(2)] == [b"0", b"1"]
    client.drop()
    for at in range(5, 8):
        published(publisher, topic, b"%d" % at)
    assert [one.payload for one in all_taken(returned(lab), 8)] == [b"%d" % at for at in range(8)]


@clause("MQTT-4.6.0-6", v=5)
def test_mqtt_4_6_0_6_wildcard_subscriptions_are_ordered_too(lab: Lab) -> None:
    client, publisher = subscriber(lab, (lab.topic("+"), 1)), lab.client("p")
    for at in range(60):
        publisher.send(v5.publish(lab.topic(str(at % 3)), b"%d" % at, qos=1, pid=at + 1))
    found = all_taken(client, 60)
    for topic in range(3):
        mine = [int(one.payload) for one in found if one.topic == lab.topic(str(topic))]
        assert mine == sorted(mine)
        assert len(mine) == 20
