"""MQTT 3.1.1, 4.1 Storing state: every part of a Session, and what does not touch it."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v311
from tests.conformance.received import Publish, Pubrec, Pubrel
from tests.conformance.steps import lasting, published, returned, subscribe, subscriber, taken


@clause("MQTT-3.1.2-24", v=311)
def test_mqtt_3_1_2_24_what_is_sent_to_the_client_does_not_count(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p", dialect=v311)
    client = lab.client(keep_alive=1, dialect=v311)
    subscribe(client, topic)
    for text in (b"1", b"2"):
        publisher.send(v311.publish(topic, text))
        client.expect(Publish, payload=text)
        publisher.expect_nothing(for_s=0.6)
    client.expect_close(within_s=15)


@clause("MQTT-3.2.2-2", v=311)
def test_mqtt_3_2_2_2_a_session_taken_over_is_present(lab: Lab) -> None:
    earlier = lasting(lab, dialect=v311)
    returned(lab, dialect=v311, session_present=True)
    earlier.expect_close()


@clause("MQTT-3.2.2-4", "MQTT-3.2.2-5", v=311)
def test_mqtt_3_2_2_4_a_refusal_has_session_present_0_and_is_the_end(lab: Lab) -> None:
    lasting(lab, dialect=v311).disconnect()
    client = lab.dial(v311)
    client.send(v311.connect(lab.name("s"), clean=False, level=6))
    client.expect_bytes("20 02 00 01")
    client.expect_close()
    returned(lab, dialect=v311)  # and the Session is as it was


@clause("MQTT-4.1.0-1", v=311)
def test_mqtt_4_1_0_1_every_part_of_the_session_is_stored(lab: Lab) -> None:
    topic, queued, half = lab.topic("x"), lab.topic("y"), lab.topic("z")
    watcher = subscriber(lab, half, suffix="w", dialect=v311)
    client, publisher = lasting(lab, (topic, 2), (queued, 1), dialect=v311), lab.client("p", dialect=v311)
    published(publisher, topic, b"released", 2)
    published(publisher, topic, b"sent", 2)
    released, sent = client.expect(Publish).pid or 0, client.expect(Publish).pid or 0
    client.send(v311.pubrec(released))
    client.expect(Pubrel, pid=released)
    client.send(v311.publish(half, b"once", qos=2, pid=9))
    client.expect(Pubrec, pid=9)
    client.drop()
    published(publisher, queued, b"queued")
    again = returned(lab, dialect=v311)
    packets = [again.next_packet() for _ in range(3)]
    assert [one.pid for one in packets if isinstance(one, Pubrel)] == [released]
    publishes = [(one.payload, one.qos, one.dup) for one in packets if isinstance(one, Publish)]
    assert publishes == [(b"sent", 2, True), (b"queued", 1, False)]
    assert sent in {one.pid for one in packets if isinstance(one, Publish)}
    again.send(v311.publish(half, b"once", qos=2, pid=9, dup=True))
    again.expect(Pubrec, pid=9)
    again.send(v311.pubrel(9))
    watcher.expect(Publish, payload=b"once")
    watcher.expect_nothing()


@clause("MQTT-4.1.0-2", v=311)
@pytest.mark.parametrize("clean", [False, True])
def test_mqtt_4_1_0_2_a_session_lasts_as_long_as_its_connection(lab: Lab, clean: bool) -> None:
    topic = lab.topic("x")
    client = lab.client(dialect=v311, clean=clean)
    subscribe(client, (topic, 1))
    client.expect_nothing(for_s=1)
    published(lab.client("p", dialect=v311), topic, b"x")
    taken(client, payload=b"x", qos=1)
