"""MQTT 5, 3.3.4 PUBLISH Actions: overlapping Subscriptions and their Subscription Identifiers."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import (
    Disconnect,
    Publish,
)
from tests.conformance.steps import identifier, kept, published, published_meanwhile, returned, subscribe
from tests.conformance.wire import Wire


def copies(client: Wire, publisher: Wire, topic: str) -> list[Publish]:
    """What the client gets until a mark published after it, one topic and QoS being in order."""
    published(publisher, topic, b"mark", qos=2)
    found = []
    while (one := client.expect(Publish)).payload != b"mark":
        found.append(one)
    return found


@clause("MQTT-3.3.4-2", v=5)
@pytest.mark.parametrize("granted", [(0, 2), (2, 0), (1, 0), (0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_4_2_overlapping_subscriptions_deliver_at_the_highest_qos(
    lab: Lab, granted: tuple[int, ...], qos: int
) -> None:
    topic = lab.topic("a/b")
    client = lab.client("s")
    for one, text in zip(granted, ("a/b", "a/+", "#"), strict=False):
        subscribe(client, (lab.topic(text), one))
    publisher = lab.client("p")
    published(publisher, topic, b"x", qos=qos)
    # One copy is what ours sends; a server may send one for each (3.3.4).
    found = client.expect(Publish, payload=b"x").qos
    assert found == min(qos, max(granted)) or not lab.target.strict


@clause("MQTT-3.3.4-2", v=5)
def test_mqtt_3_3_4_2_overlapping_subscriptions_deliver_once(lab: Lab) -> None:
    topic = lab.topic("a/b")
    client = lab.client("s")
    for text in ("a/b", "a/+", "#", "+/b", "a/#"):
        subscribe(client, (lab.topic(text), 2))
    publisher = lab.client("p")
    published(publisher, topic, b"x", qos=2)
    assert [one.payload for one in copies(client, publisher, topic)] == [b"x"] or not lab.target.strict


@clause("MQTT-3.3.4-3", "MQTT-3.3.4-4", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_4_3_a_single_copy_has_every_subscription_identifier(lab: Lab, qos: int) -> None:
    topic = lab.topic("a/b")
    client = lab.client("s")
    given = {"a/b": 1, "a/+": 200, "#": 0x0FFFFFFF, "c": 7}
    for text, number in given.items():
        subscribe(client, (lab.topic(text), 2), props={"subscription_identifier": number})
    subscribe(client, (lab.topic("+/b"), 2))  # has none to give
    published(lab.client("p"), topic, b"x", qos=qos)
    found = client.expect(Publish, payload=b"x").properties["subscription_identifier"]
    assert isinstance(found, list)
    if lab.target.strict:
        assert sorted(found) == [1, 200, 0x0FFFFFFF]
    assert set(found) <= {1, 200, 0x0FFFFFFF}


@clause("MQTT-3.3.4-3", v=5)
def test_mqtt_3_3_4_3_the_same_identifier_may_stand_for_two_subscriptions(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client("s")
    for text in ("a", "+"):
        subscribe(client, lab.topic(text), props={"subscription_identifier": 5})
    published(lab.client("p"), topic)
    # 3.3.4: the same identifier may come several times, or once.
    assert client.expect(Publish).properties["subscription_identifier"] in ([5], [5, 5])


@clause("MQTT-3.3.4-3", v=5)
def test_mqtt_3_3_4_3_the_identifier_comes_with_retained_and_queued_messages(lab: Lab) -> None:
    topic = lab.topic("a")
    publisher = lab.client("p")
    published(publisher, topic, b"kept", retain=True)
    client = lab.client("s", props=kept(v5))
    subscribe(client, (topic, 1), props={"subscription_identifier": 9})
    first = client.expect(Publish, payload=b"kept", properties={"subscription_identifier": [9]})
    client.send(v5.puback(identifier(first)))
    client.disconnect()
    published_meanwhile(lab, topic, b"queued")
    returned(lab).expect(Publish, payload=b"queued", properties={"subscription_identifier": [9]})
    published(publisher, topic, b"", retain=True)


@clause("MQTT-3.3.4-5", v=5)
def test_mqtt_3_3_4_5_two_copies_have_each_the_identifier_of_its_subscription(lab: Lab) -> None:
    # A Shared Subscription's copy is another one than the Session's own (4.8.2).
    topic = lab.topic("a")
    client = lab.client("s")
    subscribe(client, (topic, 2), props={"subscription_identifier": 1})
    subscribe(client, (f"$share/{lab.name()}/{topic}", 2), props={"subscription_identifier": 2})
    publisher = lab.client("p")
    published(publisher, topic, b"x", qos=2)
    found = [client.expect(Publish, payload=b"x").properties["subscription_identifier"] for _ in range(2)]
    assert sorted(map(str, found)) == ["[1]", "[2]"]


@clause("MQTT-3.3.4-6", v=5)
@pytest.mark.parametrize("number", [0, 1, 0x0FFFFFFF])
@pytest.mark.parametrize("qos", [0, 1])
def test_mqtt_3_3_4_6_a_client_sends_no_subscription_identifier(lab: Lab, number: int, qos: int) -> None:
    client = lab.client()
    props = {"subscription_identifier": number}
    client.send(v5.publish(lab.topic("x"), b"x", qos=qos, pid=1 if qos else None, props=props))
    client.expect_refusal(Disconnect, 0x82)
