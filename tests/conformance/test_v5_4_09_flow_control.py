"""MQTT 5, 4.9 Flow Control: Receive Maximum, in both directions."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import TIGHT, Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect, Puback, Pubcomp, Publish, Pubrec, Pubrel, Suback, Unsuback
from tests.conformance.steps import KEPT_S, poured, published, subscribe, subscriber
from tests.conformance.wire import Wire


def limited(lab: Lab, topic: str, maximum: int, qos: int) -> Wire:
    """A client that takes so many unacknowledged messages, with 20 of them published."""
    client = subscriber(lab, (topic, qos), props={"receive_maximum": maximum})
    poured(lab.client("p"), topic, 20, qos)
    return client


def acknowledge(client: Wire, qos: int, pid: int) -> None:
    """The whole of a receiver's side."""
    if qos == 1:
        client.send(v5.puback(pid))
        return
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)
    client.send(v5.pubcomp(pid))


@clause("MQTT-4.9.0-1", v=5)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 3, 19])
def test_mqtt_4_9_0_1_the_send_quota_begins_at_receive_maximum(lab: Lab, maximum: int, qos: int) -> None:
    client = limited(lab, lab.topic("x"), maximum, qos)
    for at in range(1, maximum + 1):
        client.expect(Publish, payload=b"%d" % at, qos=qos)
    client.expect_nothing()


@clause("MQTT-4.9.0-1", v=5)
def test_mqtt_4_9_0_1_without_receive_maximum_it_is_65535(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 1))
    poured(lab.client("p"), topic, 500, 1)
    for at in range(1, 501):
        client.expect(Publish, payload=b"%d" % at)


@clause("MQTT-4.9.0-1", v=5)
def test_mqtt_4_9_0_1_each_connection_has_its_own(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lab.client("s", clean=False, props={"session_expiry_interval": KEPT_S, "receive_maximum": 5})
    subscribe(client, (topic, 1))
    poured(lab.client("p"), topic, 9, 1)
    for at in range(1, 6):
        client.expect(Publish, payload=b"%d" % at)
    client.drop()
    again = lab.dial()
    again.send(v5.connect(lab.name("s"), clean=False, props={"receive_maximum": 2}))
    again.expect(Connack, session_present=True)
    for at in (1, 2):
        again.expect(Publish, payload=b"%d" % at, dup=True)
    again.expect_nothing()


@clause("MQTT-4.9.0-2", v=5)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 3])
def test_mqtt_4_9_0_2_each_acknowledgement_lets_one_message_through(lab: Lab, maximum: int, qos: int) -> None:
    client = limited(lab, lab.topic("x"), maximum, qos)
    under_way = [client.expect(Publish, payload=b"%d" % at).pid or 0 for at in range(1, maximum + 1)]
    for at in range(maximum + 1, 10):
        acknowledge(client, qos, under_way.pop(0))
        under_way.append(client.expect(Publish, payload=b"%d" % at).pid or 0)
        client.expect_alive()


@clause("MQTT-4.9.0-2", v=5)
def test_mqtt_4_9_0_2_pubrec_alone_does_not(lab: Lab) -> None:
    client = limited(lab, lab.topic("x"), 1, 2)
    pid = client.expect(Publish, payload=b"1").pid or 0
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)
    client.expect_nothing()
    client.send(v5.pubcomp(pid))
    client.expect(Publish, payload=b"2")


@clause("MQTT-4.9.0-2", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_9_0_2_a_refusal_does(lab: Lab, qos: int) -> None:
    client = limited(lab, lab.topic("x"), 1, qos)
    refusal = v5.puback if qos == 1 else v5.pubrec
    for at in range(1, 6):
        client.send(refusal(client.expect(Publish, payload=b"%d" % at).pid or 0, 0x80))


@clause("MQTT-4.9.0-2", v=5)
def test_mqtt_4_9_0_2_acknowledging_what_was_not_sent_does_not(lab: Lab) -> None:
    client = limited(lab, lab.topic("x"), 1, 1)
    pid = client.expect(Publish, payload=b"1").pid or 0
    client.send(v5.puback(pid + 1), v5.pubcomp(pid + 2))
    client.expect_nothing()


@clause("MQTT-4.9.0-2", v=5)
def test_mqtt_4_9_0_2_a_client_over_the_brokers_maximum_is_disconnected(lab: Lab) -> None:
    maximum, client = TIGHT["receive_max"], lab.dial_tight()
    client.send(v5.connect(lab.name("a")))
    assert client.expect(Connack, reason=0).properties["receive_maximum"] == maximum
    for pid in range(1, maximum + 1):
        client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
        client.expect(Pubrec, pid=pid)
    client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=maximum + 1))
    client.expect_refusal(Disconnect, 0x93)


@clause("MQTT-4.9.0-2", v=5)
def test_mqtt_4_9_0_2_a_client_at_the_brokers_maximum_is_not(lab: Lab) -> None:
    maximum, client = TIGHT["receive_max"], lab.dial_tight()
    client.send(v5.connect(lab.name("a")))
    client.expect(Connack, reason=0)
    for turn in range(10):
        pids = [turn * maximum + at for at in range(1, maximum + 1)]
        for pid in pids:
            client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
            client.expect(Pubrec, pid=pid)
        client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pids[0], dup=True))  # no new message
        client.expect(Pubrec, pid=pids[0])
        for pid in pids:
            client.send(v5.pubrel(pid))
            client.expect(Pubcomp, pid=pid)
    for _ in range(10):
        published(client, lab.topic("x"), b"x", 1)
        client.send(v5.publish(lab.topic("x"), b"x"))


@clause("MQTT-4.9.0-3", v=5)
def test_mqtt_4_9_0_3_other_packets_go_on_with_a_quota_of_zero(lab: Lab) -> None:
    client, other = limited(lab, lab.topic("x"), 1, 2), lab.topic("y")
    pid = client.expect(Publish).pid or 0
    client.expect_alive()
    client.send(v5.subscribe(7, other))
    client.expect(Suback, pid=7)
    client.send(v5.unsubscribe(8, other))
    client.expect(Unsuback, pid=8)
    client.send(v5.publish(other, b"x", qos=1, pid=9))
    client.expect(Puback, pid=9)
    client.send(v5.publish(other, b"x", qos=2, pid=10))
    client.expect(Pubrec, pid=10)
    client.send(v5.pubrel(10))
    client.expect(Pubcomp, pid=10)
    client.send(v5.pubrec(pid))
    client.expect(Pubrel, pid=pid)
