"""MQTT 5, 3.3.1.3 RETAIN: who is sent Retained Messages, and with which flag."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER, v5
from tests.conformance.received import Publish, Suback, Unsuback
from tests.conformance.steps import forget, lasting, newcomer, published, returned, subscribe
from tests.conformance.wire import Wire


def then_live(client: Wire, publisher: Wire, topic: str) -> None:
    """Nothing was waiting: the next message is the next one published."""
    published(publisher, topic, b"live")
    client.expect(Publish, payload=b"live")


@clause("MQTT-3.3.1-9", v=5)
def test_mqtt_3_3_1_9_retain_handling_0_sends_them_each_time(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"kept", retain=True)
    client = lab.client("n")
    for pid in (1, 2, 3):
        subscribe(client, topic, pid=pid)
        client.expect(Publish, payload=b"kept", retain=True)


@clause("MQTT-3.3.1-9", v=5)
def test_mqtt_3_3_1_9_all_that_match_are_sent(lab: Lab, publisher: Wire, topic: str) -> None:
    names = [f"{topic}/{number}/x" for number in range(20)]
    for name in (*names, f"{topic}/0/y", f"{topic}/0/x/z"):
        published(publisher, name, name.encode(), retain=True)
    client = newcomer(lab, f"{topic}/+/x")
    found = [client.expect(Publish, retain=True) for _ in names]
    assert sorted(one.topic for one in found) == sorted(names)
    assert all(one.payload == one.topic.encode() for one in found)
    client.expect_nothing(for_s=0.1)
    forget(publisher, *names, f"{topic}/0/y", f"{topic}/0/x/z")


@clause("MQTT-3.3.1-10", v=5)
def test_mqtt_3_3_1_10_retain_handling_1_sends_them_to_a_new_subscription(
    lab: Lab, publisher: Wire, topic: str
) -> None:
    published(publisher, topic, b"kept", retain=True)
    client = newcomer(lab, topic, RETAIN_IF_NEW)
    client.expect(Publish, payload=b"kept", retain=True)
    subscribe(client, (topic, RETAIN_IF_NEW), pid=2)
    then_live(client, publisher, topic)
    client.send(v5.unsubscribe(3, topic))
    client.expect(Unsuback, reasons=(0,))
    subscribe(client, (topic, RETAIN_IF_NEW), pid=4)
    client.expect(Publish, payload=b"kept", retain=True)


@clause("MQTT-3.3.1-10", v=5)
def test_mqtt_3_3_1_10_a_subscription_of_a_resumed_session_is_not_new(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"kept", retain=True)
    client = lasting(lab, (topic, RETAIN_IF_NEW))
    client.expect(Publish, payload=b"kept")
    client.disconnect()
    client = returned(lab)
    subscribe(client, (topic, RETAIN_IF_NEW))
    then_live(client, publisher, topic)


@clause("MQTT-3.3.1-11", v=5)
def test_mqtt_3_3_1_11_retain_handling_2_sends_none(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"kept", retain=True)
    client = newcomer(lab, topic, RETAIN_NEVER)
    subscribe(client, (topic, RETAIN_NEVER), pid=2)
    then_live(client, publisher, topic)


@clause("MQTT-3.3.1-12", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_12_without_retain_as_published_the_flag_is_0(
    lab: Lab, publisher: Wire, topic: str, qos: int
) -> None:
    client = newcomer(lab, topic, qos)
    published(publisher, topic, b"kept", qos=qos, retain=True)
    client.expect(Publish, payload=b"kept", qos=qos, retain=False)


@clause("MQTT-3.3.1-13", v=5)
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_13_with_retain_as_published_the_flag_stays(
    lab: Lab, publisher: Wire, topic: str, qos: int, retain: bool
) -> None:
    client = newcomer(lab, topic, RETAIN_AS_PUBLISHED | qos)
    published(publisher, topic, b"x", qos=qos, retain=retain)
    client.expect(Publish, payload=b"x", qos=qos, retain=retain)


@clause("MQTT-3.3.1-13", v=5)
def test_mqtt_3_3_1_13_the_flag_stays_in_a_queue_too(lab: Lab, publisher: Wire, topic: str) -> None:
    lasting(lab, (topic, RETAIN_AS_PUBLISHED | 1)).disconnect()
    for retain in (True, False):
        published(publisher, topic, b"x", retain=retain)
    client = returned(lab)
    client.expect(Publish, retain=True)
    client.expect(Publish, retain=False)


@pytest.mark.parametrize("options", [0, RETAIN_AS_PUBLISHED, RETAIN_NEVER | RETAIN_AS_PUBLISHED])
def test_a_shared_subscription_is_sent_no_retained_message(lab: Lab, publisher: Wire, topic: str, options: int) -> None:
    # 4.8.2, of the Retained Messages that were there when a Session first subscribes.
    published(publisher, topic, b"kept", retain=True)
    client = lab.client("n")
    client.send(v5.subscribe(1, (f"$share/{lab.name()}/{topic}", options)))
    client.expect(Suback, reasons=(0,))
    then_live(client, publisher, topic)
