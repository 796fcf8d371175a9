"""MQTT 5, 4.1 Session State and 4.2 Network Connections: what is kept, how long, over what."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Pingresp, Puback, Pubcomp, Publish, Pubrec, Pubrel, Suback
from tests.conformance.steps import all_taken, lasting, published, returned, subscribe, subscriber, taken


@clause("MQTT-4.1.0-1", v=5)
@pytest.mark.parametrize("expiry_s", [0, 1])
def test_mqtt_4_1_0_1_a_connected_session_outlives_its_expiry_interval(lab: Lab, expiry_s: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1), props={"session_expiry_interval": expiry_s})
    client.expect_nothing(for_s=1.5)
    published(lab.client("p"), topic, b"x")
    taken(client, payload=b"x", qos=1)


@clause("MQTT-4.1.0-1", v=5)
def test_mqtt_4_1_0_1_subscriptions_are_part_of_the_session(lab: Lab) -> None:
    plain, other = lab.topic("x"), lab.topic("y")
    client = lasting(lab, (plain, 1))
    subscribe(client, (other, 2), props={"subscription_identifier": 9})
    client.drop()
    again = returned(lab)
    publisher = lab.client("p")
    published(publisher, plain, b"1", 2)
    taken(again, topic=plain, qos=1, properties={})
    published(publisher, other, b"2", 2)
    taken(again, topic=other, qos=2, properties={"subscription_identifier": [9]})


@clause("MQTT-4.1.0-1", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_1_0_1_messages_to_come_are_part_of_the_session(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, qos)).drop()
    publisher = lab.client("p")
    for text in (b"1", b"2", b"3"):
        published(publisher, topic, text, qos)
    messages = all_taken(returned(lab), 3)
    assert [message.payload for message in messages] == [b"1", b"2", b"3"]
    assert {(message.qos, message.dup) for message in messages} == {(qos, False)}


@clause("MQTT-4.1.0-1", v=5)
def test_mqtt_4_1_0_1_a_message_half_received_is_part_of_the_session(lab: Lab) -> None:
    topic = lab.topic("x")
    watcher = subscriber(lab, topic, suffix="w")
    client = lasting(lab)
    client.send(v5.publish(topic, b"once", qos=2, pid=5))
    client.expect(Pubrec, pid=5, reason=0)
    client.drop()
    again = returned(lab)
    again.send(v5.publish(topic, b"once", qos=2, pid=5, dup=True))
    again.expect(Pubrec, pid=5, reason=0)
    again.send(v5.pubrel(5))
    again.expect(Pubcomp, pid=5, reason=0)
    watcher.expect(Publish, payload=b"once")
    watcher.expect_nothing()


@clause("MQTT-4.1.0-1", v=5)
def test_mqtt_4_1_0_1_a_session_resumed_twice_is_still_there(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).drop()
    for _ in range(3):
        returned(lab).disconnect()
    published(lab.client("p"), topic, b"x")
    taken(returned(lab), payload=b"x")


@clause("MQTT-4.1.0-2", v=5)
@pytest.mark.parametrize("leave", ["drop", "disconnect"])
def test_mqtt_4_1_0_2_a_session_ends_with_its_expiry_interval(lab: Lab, leave: str) -> None:
    topic = lab.topic("x")
    client = lab.client("s", clean=False, props={"session_expiry_interval": 1})
    subscribe(client, (topic, 1))
    getattr(client, leave)()
    watcher = lab.client("w")
    published(watcher, topic, b"within")
    watcher.expect_nothing(for_s=2.2)
    returned(lab, session_present=False).expect_nothing()


@clause("MQTT-4.1.0-2", v=5)
def test_mqtt_4_1_0_2_the_interval_begins_at_the_latest_disconnection(lab: Lab) -> None:
    watcher, props = lab.client("w"), {"session_expiry_interval": 2}
    lab.client("s", clean=False, props=props).drop()
    watcher.expect_nothing(for_s=1.2)
    again = lab.dial()
    again.send(v5.connect(lab.name("s"), clean=False, props=props))
    again.expect(Connack, session_present=True)
    watcher.expect_nothing(for_s=1.2)  # past the end that the first disconnection had set
    again.drop()
    returned(lab)


@clause("MQTT-4.1.0-2", v=5)
def test_mqtt_4_1_0_2_without_an_interval_the_session_ends_at_once(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lab.client("s", clean=False)
    subscribe(client, (topic, 1))
    client.drop()
    published(lab.client("p"), topic, b"x")
    returned(lab, session_present=False).expect_nothing()


@clause("MQTT-4.1.0-2", v=5)
def test_mqtt_4_1_0_2_the_largest_interval_does_not_end(lab: Lab) -> None:
    lab.client("s", clean=False, props={"session_expiry_interval": 0xFFFFFFFF}).drop()
    lab.client("w").expect_nothing(for_s=1)
    returned(lab).drop()
    lab.client("s")  # and a clean start removes it


@clause("MQTT-4.2.0-1", v=5)
def test_mqtt_4_2_0_1_packets_may_come_byte_by_byte(lab: Lab) -> None:
    topic, client = lab.topic("x"), lab.dial()
    stream = v5.connect(lab.name("a")) + v5.subscribe(1, topic) + v5.publish(topic, b"slow") + v5.pingreq()
    for octet in stream:
        client.send(bytes([octet]))
    client.expect(Connack, reason=0)
    client.expect(Suback, pid=1)
    client.expect(Publish, payload=b"slow")
    client.expect(Pingresp)


@clause("MQTT-4.2.0-1", v=5)
def test_mqtt_4_2_0_1_packets_may_come_all_at_once(lab: Lab) -> None:
    # A client need not wait for CONNACK (3.1.4).
    topic, client = lab.topic("x"), lab.dial()
    messages = [v5.publish(topic, b"%d" % pid, qos=1, pid=pid) for pid in range(1, 201)]
    client.send(v5.connect(lab.name("a")), v5.subscribe(1, (topic, 0)), *messages)
    client.expect(Connack, reason=0)
    client.expect(Suback, pid=1)
    acknowledged: list[int] = []
    payloads: list[int] = []
    for _ in range(400):
        packet = client.next_packet()
        if isinstance(packet, Puback):
            acknowledged.append(packet.pid)
        else:
            assert isinstance(packet, Publish)
            payloads.append(int(packet.payload))
    assert acknowledged == payloads == list(range(1, 201))


@clause("MQTT-4.2.0-1", v=5)
def test_mqtt_4_2_0_1_the_last_packet_before_the_close_counts(lab: Lab) -> None:
    topic = lab.topic("x")
    watcher = subscriber(lab, topic, suffix="w")
    client = lab.client()
    client.send(v5.publish(topic, b"last"))
    client.drop()
    watcher.expect(Publish, payload=b"last")


@clause("MQTT-4.2.0-1", v=5)
def test_mqtt_4_2_0_1_answers_come_in_the_order_of_the_questions(lab: Lab) -> None:
    client, topic = lab.client(), lab.topic("x")
    client.send(
        v5.publish(topic, b"x", qos=2, pid=1) + v5.publish(topic, b"x", qos=1, pid=2) + v5.pubrel(1) + v5.pingreq()
    )
    client.expect(Pubrec, pid=1)
    client.expect(Puback, pid=2)
    client.expect(Pubcomp, pid=1)
    client.expect(Pingresp)


@clause("MQTT-4.1.0-1", v=5)
def test_mqtt_4_1_0_1_an_unfinished_release_is_part_of_the_session(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 2))
    published(lab.client("p"), topic, b"x", 2)
    pid = client.expect(Publish).pid or 0
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)
    client.drop()
    again = returned(lab)
    again.expect(Pubrel, pid=pid)
    again.send(v5.pubcomp(pid))
    again.drop()
    returned(lab).expect_nothing()
