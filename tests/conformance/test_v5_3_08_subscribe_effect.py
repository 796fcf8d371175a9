"""MQTT 5, 3.8.4 SUBSCRIBE Actions: what a Subscription does, replaces, loses and delivers."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import NO_LOCAL, RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER, v5
from tests.conformance.received import Publish, Suback
from tests.conformance.steps import forget, lasting, published, published_meanwhile, returned, subscribe, subscriber


@clause("MQTT-3.8.4-1", v=5)
def test_mqtt_3_8_4_1_each_of_many_subscribes_in_one_write_is_answered(lab: Lab) -> None:
    client = lab.client()
    client.send(*[v5.subscribe(pid, lab.topic(str(pid))) for pid in range(1, 101)])
    for pid in range(1, 101):
        client.expect(Suback, pid=pid, reasons=(0,))


@clause("MQTT-3.8.4-3", v=5)
def test_mqtt_3_8_4_3_the_same_filter_again_replaces_the_subscription(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    subscribe(client, (topic, 0), pid=2)
    publisher = lab.client("p")
    published(publisher, topic, b"one", 2)
    client.expect(Publish, payload=b"one", qos=0)
    subscribe(client, (topic, 1), pid=3)
    published(publisher, topic, b"two", 2)
    client.expect(Publish, payload=b"two", qos=1)


@clause("MQTT-3.8.4-3", v=5)
def test_mqtt_3_8_4_3_all_options_are_replaced(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lab.client("s")
    subscribe(client, (topic, NO_LOCAL | RETAIN_AS_PUBLISHED), props={"subscription_identifier": 1})
    subscribe(client, (topic, RETAIN_NEVER), pid=2, props={"subscription_identifier": 2})
    client.send(v5.publish(topic, b"own", retain=True))
    client.expect(Publish, payload=b"own", retain=False, properties={"subscription_identifier": [2]})
    subscribe(client, (topic, RETAIN_NEVER), pid=3)
    published(client, topic, b"own", 0)
    client.expect(Publish, properties={})
    forget(client, topic)


@clause("MQTT-3.8.4-3", v=5)
def test_mqtt_3_8_4_3_another_filter_for_the_same_topics_replaces_nothing(lab: Lab) -> None:
    topic = lab.topic("a/b")
    client = lab.client("s")
    subscribe(client, (lab.topic("a/+"), 0), props={"subscription_identifier": 1})
    subscribe(client, (lab.topic("a/#"), 0), pid=2, props={"subscription_identifier": 2})
    client.send(v5.unsubscribe(3, lab.topic("a/+")))
    client.next_packet()
    published_meanwhile(lab, topic)
    client.expect(Publish, properties={"subscription_identifier": [2]})


@clause("MQTT-3.8.4-3", v=5)
def test_mqtt_3_8_4_3_the_subscription_of_a_resumed_session_is_replaced_too(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 2)).disconnect()
    client = returned(lab)
    subscribe(client, (topic, 0))
    published_meanwhile(lab, topic, qos=2)
    client.expect(Publish, qos=0)


@clause("MQTT-3.8.4-4", v=5)
def test_mqtt_3_8_4_4_replacing_sends_retained_messages_again(lab: Lab) -> None:
    topic = lab.topic("x")
    publisher = lab.client("p")
    published(publisher, topic, b"kept", retain=True)
    client = subscriber(lab, topic)
    client.expect(Publish, payload=b"kept", retain=True)
    subscribe(client, (topic, 1), pid=2)
    client.expect(Publish, payload=b"kept", retain=True, qos=1)
    forget(publisher, topic)


@clause("MQTT-3.8.4-4", v=5)
@pytest.mark.parametrize("handling", [0, RETAIN_IF_NEW, RETAIN_NEVER], ids=["0", "1", "2"])
def test_mqtt_3_8_4_4_replacing_loses_no_message(lab: Lab, handling: int) -> None:
    # The publisher goes on while the Subscription is replaced again and again.
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1))
    publisher = lab.client("p")
    numbers = range(1, 61)
    for number in numbers:
        publisher.send(v5.publish(topic, bytes([number]), qos=1, pid=number))
        if number % 10 == 0:
            client.send(v5.subscribe(number, (topic, 1 | handling)))
    found: list[int] = []
    while len(found) < len(numbers):
        packet = client.next_packet()
        if isinstance(packet, Publish):
            found.append(packet.payload[0])
            client.send(v5.puback(packet.pid or 0))
    assert found == list(numbers)


@clause("MQTT-3.8.4-8", v=5)
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_8_4_8_delivery_is_at_the_lower_qos(lab: Lab, granted: int, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, granted))
    published_meanwhile(lab, topic, qos=qos)
    client.expect(Publish, qos=min(granted, qos), dup=False)


@clause("MQTT-3.8.4-8", v=5)
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_8_4_8_retained_messages_too_are_at_the_lower_qos(lab: Lab, granted: int, qos: int) -> None:
    topic = lab.topic("x")
    publisher = lab.client("p")
    published(publisher, topic, b"kept", qos, retain=True)
    publisher.expect_alive()
    subscriber(lab, (topic, granted)).expect(Publish, qos=min(granted, qos))
    forget(publisher, topic)


@clause("MQTT-3.8.4-8", v=5)
def test_mqtt_3_8_4_8_each_subscriber_has_its_own_qos(lab: Lab) -> None:
    topic = lab.topic("x")
    clients = [subscriber(lab, (topic, granted), suffix=f"s{granted}") for granted in (0, 1, 2)]
    published_meanwhile(lab, topic, qos=2)
    for granted, client in enumerate(clients):
        client.expect(Publish, qos=granted)
