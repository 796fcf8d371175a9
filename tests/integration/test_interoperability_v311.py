"""Interoperability scenarios of MQTT 3.1.1, with paho as the client and the open lab as the broker."""

import socket

import pytest
from paho.mqtt.client import MQTTv311

from tests.integration.recorder import RefusedError, Will


@pytest.fixture
def client(open_client):
    """Opens clients of MQTT 3.1.1."""

    def open_one(suffix: str = "a", **more):
        return open_client(suffix, version="3.1.1", **more)

    return open_one


def test_a_message_of_each_qos_comes_back(client, topic):
    one = client()
    assert one.subscribe(topic) == [2]
    for qos in (0, 1, 2):
        one.publish(topic, f"qos {qos}", qos)
    assert sorted((message.payload, message.qos) for message in one.receive(3)) == [
        (b"qos 0", 0),
        (b"qos 1", 1),
        (b"qos 2", 2),
    ]


def test_a_client_that_said_goodbye_connects_again(client):
    one = client()
    one.close()
    assert one.open().session_present is False


def test_an_unknown_protocol_name_ends_the_connection(lab, name):
    with socket.create_connection((lab.host, lab.port), timeout=5) as line:
        line.sendall(b"\x10\x0e\x00\x02hj\x04\x02\x00\x3c\x00\x04" + name[:4].encode())
        assert line.recv(64) in {b"", b"\x20\x02\x00\x01"}


def test_a_second_connect_on_one_connection_ends_it(client):
    one = client()
    one.paho._send_connect(60)
    assert one.wait_end()


def test_retained_messages_reach_a_later_subscriber_and_are_removed_by_empty_ones(client, topic):
    one, late, latest = client(), client("late"), client("latest")
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", f"qos {qos}", qos, retain=True)
    late.subscribe(f"{topic}/+")
    kept = late.receive(3)
    assert sorted((message.topic, message.payload, message.qos) for message in kept) == [
        (f"{topic}/{qos}", f"qos {qos}".encode(), qos) for qos in (0, 1, 2)
    ]
    assert all(message.retain for message in kept)
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", b"", qos, retain=True)
    latest.subscribe(f"{topic}/#")
    assert latest.received_until(one, f"{topic}/mark") == []


def test_messages_wait_for_a_client_that_is_away(client, topic):
    away, one = client("away", clean=False), client()
    away.subscribe(f"{topic}/+")
    away.close()
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", f"qos {qos}", qos)
    assert away.open().session_present
    waited = away.received_until(one, f"{topic}/mark")
    assert [message.payload for message in waited if message.qos] == [b"qos 1", b"qos 2"]


def test_a_clean_session_forgets_everything(client, topic):
    kept, one = client("kept", clean=False), client()
    kept.subscribe(topic)
    kept.close()
    one.publish(topic, "for the first", 1)
    clean = client("kept", clean=True)
    assert not clean.session_present
    clean.subscribe(f"{topic}/mark")
    assert clean.received_until(one, f"{topic}/mark") == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_is_published_when_the_line_is_cut(client, topic, qos):
    heir = client("heir")
    heir.subscribe(topic)
    client("testator", will=Will(topic, "cut off", qos)).drop()
    (message,) = heir.receive()
    assert (message.payload, message.qos, message.retain) == (b"cut off", qos, False)


def test_a_retained_will_is_kept(client, topic):
    heir, late = client("heir"), client("late")
    heir.subscribe(topic)
    client("testator", will=Will(topic, "cut off", 1, retain=True)).drop()
    heir.receive()
    late.subscribe(topic)
    assert late.receive()[0].retain
    heir.publish(topic, b"", 1, retain=True)


def test_no_will_after_a_goodbye(client, topic):
    heir = client("heir")
    heir.subscribe(f"{topic}/#")
    client("testator", will=Will(topic, "cut off")).close()
    assert heir.received_until(heir, f"{topic}/mark") == []


def test_overlapping_subscriptions_give_one_message_of_the_highest_qos_or_one_for_each(client, topic):
    one = client()
    assert one.subscribe((f"{topic}/#", 2), (f"{topic}/+", 1)) == [2, 1]
    one.publish(f"{topic}/c", "overlapping", 2)
    got = sorted(message.qos for message in one.received_until(one, f"{topic}/mark") if message.payload != b"mark")
    assert got in ([2], [1, 2])


def test_a_client_silent_for_longer_than_its_keep_alive_is_ended_and_its_will_published(client, topic):
    heir = client("heir")
    heir.subscribe(topic)
    client("silent", keep_alive=1, will=Will(topic, "silent for too long")).mute()
    assert heir.receive()[0].payload == b"silent for too long"


def test_a_client_that_pings_is_not_ended(client, topic):
    one = client(keep_alive=1)
    with pytest.raises(AssertionError, match="no end"):
        one.wait_end(within_s=2.5)
    assert one.publish(topic, "still here", 1) == 0


def test_what_was_not_acknowledged_comes_again_with_dup(client, topic):
    slow, one = client("slow", clean=False, acknowledges=False), client()
    slow.subscribe(topic)
    one.publish(topic, "again", 1)
    assert not slow.receive()[0].dup
    slow.drop()
    assert slow.open().session_present
    (message,) = slow.receive()
    assert (message.payload, message.dup) == (b"again", True)
    slow.ack(message)


def test_an_empty_client_identifier_needs_a_clean_session(lab, recorders):
    with pytest.raises(RefusedError) as refused:
        raw_connect(lab, clean=False)
    assert refused.value.reason == 2
    assert recorders(lab, "", version="3.1.1").open().connack[0] == 0


def raw_connect(lab, *, clean: bool) -> None:
    """CONNECT without a Client Identifier, which paho itself refuses to send without a clean session."""
    with socket.create_connection((lab.host, lab.port), timeout=5) as line:
        line.sendall(b"\x10\x0c\x00\x04MQTT" + bytes([MQTTv311, 2 * clean, 0, 60, 0, 0]))
        connack = line.recv(4)
    if connack[3]:
        raise RefusedError(connack[3])


def test_wildcards_do_not_reach_topics_that_begin_with_a_dollar(client, topic):
    one = client()
    one.subscribe("+/+/+", "#")
    one.send(f"$hidden/{topic}", "not for wildcards", 1)
    got = one.received_until(one, f"{topic}/mark")
    assert not [message for message in got if message.topic.startswith("$")]


def test_sys_topics_are_reached_by_name(client):
    one = client()
    one.subscribe("$SYS/broker/version")
    assert b"artizan" in one.receive()[0].payload


def test_after_unsubscribe_nothing_more_comes(client, topic):
    one = client()
    one.subscribe(f"{topic}/1", f"{topic}/2", f"{topic}/3")
    one.unsubscribe(f"{topic}/1")
    for number in (1, 2, 3):
        one.publish(f"{topic}/{number}", str(number), 1)
    assert [message.payload for message in one.receive(2)] == [b"2", b"3"]


def test_a_subscription_that_may_not_be_is_refused_with_0x80(strict_client, topic):
    one = strict_client(version="3.1.1")
    assert one.subscribe("forbidden/topic", topic) == [0x80, 2]


def test_a_second_connection_of_a_client_ends_the_first(client, topic):
    first = client("twin", clean=False)
    first.subscribe(topic)
    second = client("twin", clean=False)
    assert first.wait_end()
    assert second.session_present
    second.publish(topic, "one of us", 1)
    assert second.receive()[0].payload == b"one of us"


def test_messages_of_one_topic_keep_their_order(client, topic):
    one = client()
    one.subscribe(topic)
    for number in range(200):
        one.send(topic, str(number), 1)
    assert [int(message.payload) for message in one.receive(200)] == list(range(200))


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_comes_with_the_lower_of_both_qos(client, topic, qos, granted):
    one = client()
    assert one.subscribe(topic, qos=granted) == [granted]
    one.publish(topic, "x", qos)
    assert one.receive()[0].qos == min(qos, granted)
