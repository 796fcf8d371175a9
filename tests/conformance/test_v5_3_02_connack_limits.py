"""MQTT 5, 3.2.2.3 CONNACK Properties: the limits a server announces, and what passing them gets.

Spoken to the listener whose limits are `TIGHT`, because the open lab has none to reach.
"""

import time

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import TIGHT, Lab
from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.properties import Props
from tests.conformance.received import Connack, Disconnect, Pubcomp, Publish, Pubrec
from tests.conformance.steps import kept, published, published_meanwhile, subscribe, subscriber
from tests.conformance.wire import Wire


def connack(lab: Lab, *, keep_alive: int = 1, props: Props = None) -> Connack:
    """What the broker tells a client that connects like this."""
    client = lab.dial_tight()
    client.send(v5.connect(lab.name("a"), keep_alive=keep_alive, props=props))
    return client.expect(Connack, reason=0)


def accepted(lab: Lab, suffix: str = "a", *, keep_alive: int = 1, dialect: Dialect = v5) -> Wire:
    """A client of the listener with small limits."""
    client = lab.dial_tight(dialect)
    client.send(dialect.connect(lab.name(suffix), keep_alive=keep_alive))
    client.expect(Connack, reason=0)
    return client


def sized_publish(topic: str, size: int) -> bytes:
    """A QoS 0 PUBLISH of this many bytes in all."""
    empty = len(v5.publish(topic, b"")) + 1  # from 128 on, Remaining Length takes two bytes
    return v5.publish(topic, b"x" * (size - empty))


def test_connack_announces_every_limit(lab: Lab) -> None:
    told = connack(lab).properties
    assert (
        told.items()
        >= {
            "receive_maximum": TIGHT["receive_max"],
            "topic_alias_maximum": TIGHT["topic_alias_max"],
            "maximum_packet_size": TIGHT["packet_bytes_max"],
        }.items()
    )


def test_connack_announces_a_session_expiry_below_what_was_asked(lab: Lab) -> None:
    # 3.2.2.3.2
    assert connack(lab, props=kept(v5)).properties["session_expiry_interval"] == 2
    assert "session_expiry_interval" not in connack(lab, props={"session_expiry_interval": 1}).properties


@clause("MQTT-3.2.2-21", v=5)
@pytest.mark.parametrize("asked", [0, 3, 65535])
def test_mqtt_3_2_2_21_a_keep_alive_beyond_the_servers_is_replaced(lab: Lab, asked: int) -> None:
    assert connack(lab, keep_alive=asked).properties["server_keep_alive"] == 2


@clause("MQTT-3.2.2-21", v=5)
def test_mqtt_3_2_2_21_the_server_keep_alive_is_the_one_enforced(lab: Lab) -> None:
    began = time.monotonic()
    accepted(lab, keep_alive=60).expect_refusal(Disconnect, 0x8D, within_s=15)
    assert time.monotonic() - began > 2.9


@clause("MQTT-3.2.2-22", v=5)
@pytest.mark.parametrize("asked", [1, 2])
def test_mqtt_3_2_2_22_a_keep_alive_within_the_servers_is_kept(lab: Lab, asked: int) -> None:
    assert "server_keep_alive" not in connack(lab, keep_alive=asked).properties


@clause("MQTT-3.2.2-15", v=5)
def test_mqtt_3_2_2_15_a_packet_of_exactly_the_maximum_is_taken(lab: Lab) -> None:
    topic = lab.topic("x")
    client = accepted(lab)
    subscribe(client, topic)
    client.send(sized_publish(topic, 1024))
    assert client.expect(Publish).size == 1024


@clause("MQTT-3.2.2-15", v=5)
def test_mqtt_3_2_2_15_one_byte_more_is_packet_too_large(lab: Lab) -> None:
    topic = lab.topic("x")
    watcher = subscriber(lab, topic)
    client = accepted(lab)
    client.send(sized_publish(topic, 1025))
    client.expect_refusal(Disconnect, 0x95)
    published_meanwhile(lab, topic, b"later")
    watcher.expect(Publish, payload=b"later")


@clause("MQTT-3.2.2-15", v=5)
def test_mqtt_3_2_2_15_the_length_alone_is_enough_to_refuse(lab: Lab) -> None:
    # Nothing of the body is waited for: memory is not a client's to claim.
    client = accepted(lab)
    client.send("30 ff ff ff 7f")
    client.expect_refusal(Disconnect, 0x95)


@clause("MQTT-3.2.2-15", v=5)
def test_mqtt_3_2_2_15_a_connect_too_large_is_refused(lab: Lab) -> None:
    client = lab.dial_tight()
    client.send(v5.connect("a", props={"user_property": ("k", "v" * 1100)}))
    client.expect_refusal(Connack, 0x95, silent=True)


@clause("MQTT-3.2.2-15", v=5)
def test_mqtt_3_2_2_15_another_version_is_closed_in_silence(lab: Lab) -> None:
    client = accepted(lab, dialect=v311)
    client.send(v311.publish(lab.topic("x"), b"x" * 1100))
    client.expect_close()


@clause("MQTT-3.2.2-17", "MQTT-3.3.2-9", v=5)
def test_mqtt_3_2_2_17_a_topic_alias_above_the_maximum_is_invalid(lab: Lab) -> None:
    client = accepted(lab)
    client.send(v5.publish(lab.topic("x"), b"x", props={"topic_alias": 3}))
    client.expect_refusal(Disconnect, 0x94)


@clause("MQTT-3.3.2-12", v=5)
def test_mqtt_3_3_2_12_each_topic_alias_up_to_the_maximum_is_taken(lab: Lab) -> None:
    client = accepted(lab)
    subscribe(client, lab.topic("#"))
    for alias in (1, 2):
        client.send(v5.publish(lab.topic(str(alias)), b"x", props={"topic_alias": alias}))
        client.expect(Publish, topic=lab.topic(str(alias)))
    for alias in (1, 2):
        client.send(v5.publish("", b"y", props={"topic_alias": alias}))
        client.expect(Publish, topic=lab.topic(str(alias)), payload=b"y")


@clause("MQTT-3.3.4-7", v=5)
def test_mqtt_3_3_4_7_more_than_the_receive_maximum_is_refused(lab: Lab) -> None:
    client = accepted(lab)
    for pid in (1, 2, 3):
        client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
    client.expect(Pubrec, pid=1)
    client.expect(Pubrec, pid=2)
    client.expect_refusal(Disconnect, 0x93)


@clause("MQTT-3.3.4-8", v=5)
def test_mqtt_3_3_4_8_other_packets_and_qos_0_do_not_count(lab: Lab) -> None:
    topic = lab.topic("x")
    client = accepted(lab)
    for pid in (1, 2):
        client.send(v5.publish(topic, b"x", qos=2, pid=pid))
        client.expect(Pubrec, pid=pid)
    published(client, topic, qos=0)
    client.send(v5.publish(topic, b"x", qos=2, pid=1, dup=True))  # the same again, not one more
    client.expect(Pubrec, pid=1)
    client.expect_alive()


@clause("MQTT-3.3.4-7", v=5)
def test_mqtt_3_3_4_7_a_finished_exchange_makes_room_for_another(lab: Lab) -> None:
    client = accepted(lab)
    for pid in range(1, 8):
        client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
        client.expect(Pubrec, pid=pid)
        if pid > 1:
            client.send(v5.pubrel(pid - 1))
            client.expect(Pubcomp, pid=pid - 1, reason=0)
    client.expect_alive()


@clause("MQTT-3.3.4-7", v=5)
def test_mqtt_3_3_4_7_the_receive_maximum_is_not_shared_by_clients(lab: Lab) -> None:
    for suffix in ("a", "b"):
        client = accepted(lab, suffix)
        for pid in (1, 2):
            client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
            client.expect(Pubrec, pid=pid)
