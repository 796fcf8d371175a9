"""Interoperability scenarios of MQTT 5: Sessions, Wills and Shared Subscriptions, with paho and the open lab."""

import time

import pytest

from tests.integration.recorder import Will

SESSION_TAKEN_OVER = 0x8E
WITH_WILL = 0x04


@pytest.fixture
def client(open_client):
    """Opens clients of MQTT 5."""
    return open_client


def test_messages_wait_for_a_client_that_is_away(client, topic):
    away, one = client("away", clean=False, SessionExpiryInterval=60), client()
    away.subscribe(f"{topic}/+")
    away.close()
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", f"qos {qos}", qos)
    assert away.open().session_present
    waited = away.received_until(one, f"{topic}/mark")
    assert [message.payload for message in waited if message.qos] == [b"qos 1", b"qos 2"]


def test_what_was_not_acknowledged_comes_again_with_dup(client, topic):
    slow, one = client("slow", clean=False, acknowledges=False, SessionExpiryInterval=60), client()
    slow.subscribe(topic)
    one.publish(topic, "again", 1)
    assert not slow.receive()[0].dup
    slow.drop()
    assert slow.open().session_present
    (message,) = slow.receive()
    assert (message.payload, message.dup) == (b"again", True)
    slow.ack(message)


def test_a_session_without_expiry_interval_ends_with_its_connection(client, topic):
    one = client(clean=False)
    one.subscribe(topic)
    one.close()
    assert not one.open().session_present


def test_a_session_ends_when_its_expiry_interval_is_over(client, topic):
    one = client(clean=False, SessionExpiryInterval=1)
    one.subscribe(topic)
    one.close()
    assert one.open().session_present
    one.close()
    time.sleep(1.6)
    assert not one.open().session_present


def test_a_disconnect_shortens_the_session_expiry(client, topic):
    one = client(clean=False, SessionExpiryInterval=60)
    one.subscribe(topic)
    one.close(SessionExpiryInterval=0)
    assert not one.open().session_present


def test_a_disconnect_cannot_make_a_session_out_of_none(client):
    one = client(SessionExpiryInterval=0)
    one.close(SessionExpiryInterval=5)
    assert not client(clean=False).session_present


def test_a_second_connection_takes_the_session_over(client, topic):
    first = client("twin", SessionExpiryInterval=60)
    first.subscribe(topic)
    second = client("twin", clean=False, SessionExpiryInterval=60)
    assert first.wait_end() == SESSION_TAKEN_OVER
    assert second.session_present
    second.publish(topic, "one of us", 1)
    assert second.receive()[0].payload == b"one of us"


# ---- Wills -------------------------------------------------------------------------------------------


def test_a_will_carries_its_properties(client, topic):
    heir = client("heir")
    heir.subscribe(topic)
    given = {"UserProperty": [("why", "cut"), ("a", "b")], "ContentType": "text/plain", "MessageExpiryInterval": 9}
    client("testator", will=Will(topic, "cut off", 1, properties=given)).drop()
    (message,) = heir.receive()
    assert message.properties["UserProperty"] == given["UserProperty"]
    assert message.properties["ContentType"] == "text/plain"
    assert 7 <= message.properties["MessageExpiryInterval"] <= 9


def test_no_will_after_a_goodbye_and_one_after_a_goodbye_with_will(client, topic):
    heir = client("heir")
    heir.subscribe(f"{topic}/#")
    client("testator", will=Will(topic, "unsaid")).close()
    assert heir.received_until(heir, f"{topic}/mark") == []
    client("testator", will=Will(topic, "said")).close(reason=WITH_WILL)
    assert heir.receive()[0].payload == b"said"


def test_a_will_waits_for_its_delay(client, topic):
    heir = client("heir")
    heir.subscribe(f"{topic}/#")
    will = Will(topic, "late", properties={"WillDelayInterval": 1})
    client("testator", will=will, SessionExpiryInterval=60).drop()
    cut = time.monotonic()
    assert heir.received_until(heir, f"{topic}/mark") == []
    assert heir.receive()[0].payload == b"late"
    assert time.monotonic() - cut > 0.8


def test_the_end_of_the_session_ends_the_delay_of_its_will(client, topic):
    heir = client("heir")
    heir.subscribe(topic)
    will = Will(topic, "early", properties={"WillDelayInterval": 600})
    client("testator", will=will, SessionExpiryInterval=0).drop()
    assert heir.receive()[0].payload == b"early"


def test_a_client_that_is_back_in_time_cancels_its_delayed_will(client, topic):
    heir = client("heir")
    heir.subscribe(f"{topic}/#")
    will = Will(topic, "too early", properties={"WillDelayInterval": 1})
    testator = client("testator", clean=False, will=will, SessionExpiryInterval=60)
    testator.drop()
    assert testator.open().session_present
    time.sleep(1.6)
    assert heir.received_until(testator, f"{topic}/mark") == []


# ---- Shared Subscriptions ----------------------------------------------------------------------------


def test_each_message_goes_to_one_member_and_every_member_gets_some(client, topic):
    members, one = [client(f"member{number}") for number in range(3)], client()
    for member in members:
        member.subscribe(f"$share/group/{topic}/#")
    for number in range(30):
        one.publish(f"{topic}/{number}", str(number), 1)
    for member in members:
        member.subscribe(f"{topic}-mark")
    got: list[list[int]] = [[] for _ in members]
    # Order is promised within a topic, not between two: the last of them may come behind the first mark.
    for _ in range(5):
        for mine, member in zip(got, members, strict=True):
            came = member.received_until(one, f"{topic}-mark")
            mine += [int(message.payload) for message in came if message.payload.isdigit()]
        if sum(map(len, got)) >= 30:
            break
    assert sorted(number for mine in got for number in mine) == list(range(30))
    assert all(got), "each of them got some"


def test_groups_are_apart_from_each_other_and_from_others(client, topic):
    one, other, alone = client("one"), client("other"), client("alone")
    one.subscribe(f"$share/first/{topic}")
    other.subscribe(f"$share/second/{topic}")
    alone.subscribe(topic)
    alone.publish(topic, "for all three", 1)
    assert [reader.receive()[0].payload for reader in (one, other, alone)] == [b"for all three"] * 3


def test_what_a_gone_member_did_not_acknowledge_goes_to_another(client, topic):
    gone, stays, one = client("gone", acknowledges=False), client("stays"), client()
    gone.subscribe(f"$share/group/{topic}/#", qos=1)
    for number in range(5):
        one.publish(f"{topic}/{number}", str(number), 1)
    assert len(gone.receive(5)) == 5
    stays.subscribe(f"$share/group/{topic}/#", qos=1)
    gone.drop()
    assert sorted(message.payload for message in stays.receive(5)) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_shared_subscription_gets_no_retained_messages_at_subscribe(client, topic):
    one = client()
    one.publish(topic, "kept", 1, retain=True)
    one.subscribe(f"$share/group/{topic}", f"{topic}-mark")
    assert one.received_until(one, f"{topic}-mark") == []
    one.publish(topic, "", 1, retain=True)
