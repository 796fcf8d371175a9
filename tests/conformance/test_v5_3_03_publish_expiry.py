"""MQTT 5, 3.3.2.3.3 Message Expiry Interval: counted down in the broker, and over when it is over."""

from collections.abc import Iterator

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Disconnect, Puback, Publish
from tests.conformance.steps import forget, lasting, published, published_meanwhile, returned, subscribe, subscriber


@pytest.fixture
def topic(lab: Lab) -> Iterator[str]:
    """A topic whose Retained Message is removed at the end."""
    name = lab.topic("brief")
    yield name
    forget(lab.client("z"), name)


def wait(lab: Lab, seconds: float) -> None:
    """Time passes for everybody; the connection that watches it proves that the broker lives."""
    clock = lab.client("clock")
    clock.expect_nothing(for_s=seconds)
    clock.expect_alive()


def remaining(publish: Publish) -> int:
    """What is left of the Message Expiry Interval."""
    left = publish.properties["message_expiry_interval"]
    assert isinstance(left, int)
    return left


@clause("MQTT-3.3.2-5", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_3_2_5_a_queued_message_expires(lab: Lab, topic: str, qos: int) -> None:
    lasting(lab, (topic, qos)).disconnect()
    published_meanwhile(lab, topic, b"brief", qos=qos, props={"message_expiry_interval": 1})
    published_meanwhile(lab, topic, b"lasting", qos=qos)
    wait(lab, 1.3)
    returned(lab).expect(Publish, payload=b"lasting")


@clause("MQTT-3.3.2-5", v=5)
def test_mqtt_3_3_2_5_a_message_held_by_receive_maximum_expires(lab: Lab, topic: str) -> None:
    client = subscriber(lab, (topic, 1), props={"receive_maximum": 1})
    publisher = lab.client("p")
    published(publisher, topic, b"first")
    published(publisher, topic, b"brief", props={"message_expiry_interval": 1})
    published(publisher, topic, b"lasting")
    pid = client.expect(Publish, payload=b"first").pid
    wait(lab, 1.3)
    client.send(v5.puback(pid or 0))
    client.expect(Publish, payload=b"lasting")


@clause("MQTT-3.3.2-5", v=5)
def test_mqtt_3_3_2_5_it_expires_for_each_subscriber_alone(lab: Lab, topic: str) -> None:
    lasting(lab, (topic, 1)).disconnect()
    present = subscriber(lab, (topic, 1), suffix="present")
    published_meanwhile(lab, topic, b"brief", props={"message_expiry_interval": 1})
    present.expect(Publish, payload=b"brief")
    wait(lab, 1.3)
    returned(lab).expect_nothing(for_s=0.2)


@clause("MQTT-3.3.2-5", v=5)
def test_mqtt_3_3_2_5_a_retained_message_expires(lab: Lab, topic: str) -> None:
    client = lab.client("p")
    published(client, topic, b"brief", retain=True, props={"message_expiry_interval": 1})
    wait(lab, 1.3)
    subscriber(lab, topic).expect_nothing(for_s=0.2)


@clause("MQTT-3.3.2-5", v=5)
def test_mqtt_3_3_2_5_without_an_interval_nothing_expires(lab: Lab, topic: str) -> None:
    lasting(lab, (topic, 1)).disconnect()
    published_meanwhile(lab, topic, b"lasting")
    wait(lab, 1.0)
    assert returned(lab).expect(Publish, payload=b"lasting").properties == {}


@clause("MQTT-3.3.2-6", v=5)
def test_mqtt_3_3_2_6_what_waited_has_less_left(lab: Lab, topic: str) -> None:
    lasting(lab, (topic, 1)).disconnect()
    published_meanwhile(lab, topic, props={"message_expiry_interval": 60})
    wait(lab, 1.3)
    assert 57 <= remaining(returned(lab).expect(Publish)) <= 59


@clause("MQTT-3.3.2-6", v=5)
def test_mqtt_3_3_2_6_a_retained_message_has_less_left(lab: Lab, topic: str) -> None:
    publisher = lab.client("p")
    published(publisher, topic, retain=True, props={"message_expiry_interval": 60})
    wait(lab, 1.3)
    assert 57 <= remaining(subscriber(lab, topic).expect(Publish)) <= 59


@clause("MQTT-3.3.2-6", v=5)
@pytest.mark.parametrize("interval", [2, 60, 0xFFFFFFFF])
def test_mqtt_3_3_2_6_what_did_not_wait_has_all_of_it_left(lab: Lab, topic: str, interval: int) -> None:
    client = subscriber(lab, topic)
    published(lab.client("p"), topic, props={"message_expiry_interval": interval})
    assert interval - 1 <= remaining(client.expect(Publish)) <= interval


def test_an_expired_retained_message_is_replaced_by_nothing(lab: Lab, topic: str) -> None:
    # A newer one without an interval stays, whatever the older one had.
    publisher = lab.client("p")
    published(publisher, topic, b"brief", retain=True, props={"message_expiry_interval": 1})
    published(publisher, topic, b"lasting", retain=True)
    wait(lab, 1.3)
    subscriber(lab, topic).expect(Publish, payload=b"lasting")


def test_an_interval_that_is_cut_short_is_malformed(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.publish("a", props=b"\x02\x00\x00\x00"))
    client.expect_refusal(Disconnect, 0x81)


def test_an_interval_of_zero_expires_at_once_but_is_acknowledged(lab: Lab, topic: str) -> None:
    # 3.3.2.3.3: it has passed before delivery could begin for a client that is not there.
    client = lasting(lab, (topic, 1))
    client.disconnect()
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"gone", qos=1, pid=1, props={"message_expiry_interval": 0}))
    assert publisher.expect(Puback, pid=1).reason in (0x00, 0x10)
    wait(lab, 1.0)
    again = returned(lab)
    subscribe(again, (topic, 1))
    again.expect_nothing(for_s=0.2)
