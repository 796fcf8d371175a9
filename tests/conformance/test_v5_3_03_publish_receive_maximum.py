"""MQTT 5, 3.3.4 PUBLISH Actions: the client's Receive Maximum, and what it does not hold back."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import (
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Unsuback,
)
from tests.conformance.steps import identifier, lasting, published, returned, subscribe, subscriber
from tests.conformance.wire import Wire


@clause("MQTT-3.3.4-9", v=5)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 2, 5])
def test_mqtt_3_3_4_9_no_more_is_sent_than_the_receive_maximum(lab: Lab, qos: int, maximum: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, qos), props={"receive_maximum": maximum})
    publisher = lab.client("p")
    for number in range(maximum + 2):
        published(publisher, topic, bytes([number]), qos=qos)
    pids = [identifier(client.expect(Publish, payload=bytes([number]))) for number in range(maximum)]
    assert len(set(pids)) == maximum
    client.expect_nothing(for_s=0.1)
    for number in (maximum, maximum + 1):
        release(client, pids.pop(0), qos)
        pids.append(identifier(client.expect(Publish, payload=bytes([number]))))
        client.expect_nothing(for_s=0.05)


def release(client: Wire, pid: int, qos: int) -> None:
    """Finish one exchange: PUBACK, or PUBREC and PUBCOMP, frees the place [MQTT-4.9.0-2]."""
    if qos == 1:
        client.send(v5.puback(pid))
        return
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)  # and not yet a PUBLISH
    client.send(v5.pubcomp(pid))


@clause("MQTT-3.3.4-9", v=5)
def test_mqtt_3_3_4_9_it_holds_for_what_was_queued_too(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).disconnect()
    publisher = lab.client("p")
    for number in range(5):
        published(publisher, topic, bytes([number]))
    client = returned(lab, props={"receive_maximum": 2})
    first = client.expect(Publish, payload=b"\x00")
    client.expect(Publish, payload=b"\x01")
    client.expect_nothing(for_s=0.1)
    client.send(v5.puback(identifier(first)))
    client.expect(Publish, payload=b"\x02")


@clause("MQTT-3.3.4-9", v=5)
def test_mqtt_3_3_4_9_absent_means_65535(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1))
    publisher = lab.client("p")
    for number in range(300):
        publisher.send(v5.publish(topic, b"x", qos=1, pid=number + 1))
    pids = {identifier(client.expect(Publish)) for _ in range(300)}
    assert len(pids) == 300


@clause("MQTT-3.3.4-10", v=5)
def test_mqtt_3_3_4_10_at_the_receive_maximum_other_packets_are_sent(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1), props={"receive_maximum": 1})
    publisher = lab.client("p")
    for _ in range(3):
        published(publisher, topic)
    client.expect(Publish)
    client.send(v5.pingreq())
    client.expect(Pingresp)
    client.send(v5.subscribe(2, lab.topic("y")))
    client.expect(Suback, pid=2)
    client.send(v5.unsubscribe(3, lab.topic("y")))
    client.expect(Unsuback, pid=3)
    client.send(v5.publish(lab.topic("z"), b"x", qos=1, pid=4))
    client.expect(Puback, pid=4)
    client.send(v5.publish(lab.topic("z"), b"x", qos=2, pid=5))
    client.expect(Pubrec, pid=5)
    client.send(v5.pubrel(5))
    client.expect(Pubcomp, pid=5)


@clause("MQTT-3.3.4-10", v=5)
def test_mqtt_3_3_4_10_at_the_receive_maximum_qos_0_goes_on(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1), props={"receive_maximum": 1})
    subscribe(client, lab.topic("y"))
    publisher = lab.client("p")
    published(publisher, topic)
    client.expect(Publish, topic=topic)
    published(publisher, topic)
    published(publisher, lab.topic("y"), qos=0)
    client.expect(Publish, topic=lab.topic("y"), qos=0)
