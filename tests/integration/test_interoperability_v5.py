"""Interoperability scenarios of MQTT 5: messages, their properties, subscriptions and limits, with paho and the open lab."""

import time
from functools import partial

import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.integration.recorder import Place, RefusedError, Will, named

NOT_AUTHORIZED = 0x87
PACKET_TOO_LARGE = 0x95
RECEIVE_MAXIMUM_EXCEEDED = 0x93
TOPIC_ALIAS_INVALID = 0x94
NO_MATCHING_SUBSCRIBERS = 0x10


@pytest.fixture
def client(open_client):
    """Opens clients of MQTT 5."""
    return open_client


@pytest.fixture
def tight(lab_places, open_client):
    """Opens clients on the listener with small limits."""
    return partial(open_client, place=lab_places["tight"])


def test_a_message_of_each_qos_comes_back(client, topic):
    one = client()
    assert one.subscribe(topic) == [2]
    for qos in (0, 1, 2):
        assert one.publish(topic, f"qos {qos}", qos) == 0
    assert sorted((message.payload, message.qos) for message in one.receive(3)) == [
        (b"qos 0", 0),
        (b"qos 1", 1),
        (b"qos 2", 2),
    ]


def test_retained_messages_keep_their_user_properties_in_order(client, topic):
    one, late = client(), client("late")
    pairs = [("b", "2"), ("a", "1"), ("b", "3"), ("ü", "")]
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", f"qos {qos}", qos, retain=True, UserProperty=pairs)
    late.subscribe(f"{topic}/+")
    kept = late.receive(3)
    assert [message.properties["UserProperty"] for message in kept] == [pairs] * 3
    assert {message.qos for message in kept} == {0, 1, 2}
    for qos in (0, 1, 2):
        one.publish(f"{topic}/{qos}", b"", qos, retain=True)


def test_a_publish_that_nobody_reads_is_answered_so(client, topic):
    assert client().publish(topic, "alone", 1) == NO_MATCHING_SUBSCRIBERS


def test_overlapping_subscriptions_with_identifiers(client, topic):
    one = client()
    one.subscribe((f"{topic}/#", 2), SubscriptionIdentifier=7)
    one.subscribe((f"{topic}/+", 1), SubscriptionIdentifier=8)
    one.publish(f"{topic}/c", "overlapping", 2)
    got = [message for message in one.received_until(one, f"{topic}/mark") if message.payload == b"overlapping"]
    identifiers = sorted(number for message in got for number in message.properties["SubscriptionIdentifier"])
    assert identifiers == [7, 8]
    assert max(message.qos for message in got) == 2


def test_a_message_carries_the_identifier_of_its_subscription_alone(client, topic):
    one, other = client(), client("b")
    one.subscribe(f"{topic}/1", SubscriptionIdentifier=1)
    one.subscribe(f"{topic}/2", SubscriptionIdentifier=268_435_455)
    one.subscribe(f"{topic}/3")
    for number in (1, 2, 3):
        other.publish(f"{topic}/{number}", "x", 1)
    got = [message.properties.get("SubscriptionIdentifier") for message in one.receive(3)]
    assert got == [[1], [268_435_455], None]


def test_no_local_keeps_own_messages_away(client, topic):
    one, other = client(), client("b")
    one.subscribe((f"{topic}/#", SubscribeOptions(qos=2, noLocal=True)))
    one.publish(topic, "own", 1)
    other.publish(topic, "foreign", 1)
    assert [message.payload for message in one.received_until(other, f"{topic}/mark")] == [b"foreign"]


@pytest.mark.parametrize("as_published", [True, False])
def test_retain_as_published(client, topic, as_published):
    one = client()
    one.subscribe((topic, SubscribeOptions(qos=1, retainAsPublished=as_published)))
    one.publish(topic, "kept", 1, retain=True)
    one.publish(topic, "", 1, retain=True)
    assert [message.retain for message in one.receive(2)] == [as_published] * 2


def test_retain_handling(client, topic):
    one = client()
    one.publish(topic, "kept", 1, retain=True)
    expected = {0: [True, True], 1: [True, False], 2: [False, False]}
    for handling, sent in expected.items():
        reader = client(f"reader{handling}")
        for wanted in sent:
            reader.subscribe((f"{topic}/#", SubscribeOptions(qos=1, retainHandling=handling)))
            got = reader.received_until(one, f"{topic}/mark")
            assert [message.payload for message in got] == [b"kept"] * wanted
    one.publish(topic, "", 1, retain=True)


def test_request_and_response(client, topic):
    asker, answerer = client("asker"), client("answerer")
    answerer.subscribe(f"{topic}/request")
    asker.subscribe(f"{topic}/response")
    asker.publish(f"{topic}/request", "?", 1, ResponseTopic=f"{topic}/response", CorrelationData=b"\x00\x01")
    (request,) = answerer.receive()
    back = request.properties
    answerer.publish(back["ResponseTopic"], "!", 1, CorrelationData=back["CorrelationData"])
    (response,) = asker.receive()
    assert (response.payload, response.properties["CorrelationData"]) == (b"!", b"\x00\x01")


def test_payload_format_and_content_type_come_as_sent(client, topic):
    one = client()
    one.subscribe(topic)
    one.publish(topic, "é", 1, PayloadFormatIndicator=1, ContentType="text/plain")
    (message,) = one.receive()
    assert message.properties["PayloadFormatIndicator"] == 1
    assert message.properties["ContentType"] == "text/plain"


def test_publication_expiry_counts_down_and_ends(client, topic):
    away, one = client("away", clean=False, SessionExpiryInterval=60), client()
    away.subscribe(f"{topic}/+")
    away.close()
    one.publish(f"{topic}/short", "gone", 1, MessageExpiryInterval=1)
    one.publish(f"{topic}/long", "there", 1, MessageExpiryInterval=20)
    one.publish(f"{topic}/none", "there too", 1)
    time.sleep(1.6)
    away.open()
    got = away.received_until(one, f"{topic}/mark")
    assert [message.payload for message in got] == [b"there", b"there too"]
    assert 15 <= got[0].properties["MessageExpiryInterval"] <= 19
    assert "MessageExpiryInterval" not in got[1].properties


def test_unsubscribe_says_what_was_there(client, topic):
    one = client()
    one.subscribe(f"{topic}/1", f"{topic}/2")
    assert one.unsubscribe(f"{topic}/1", f"{topic}/never") == [0, 0x11]
    one.publish(f"{topic}/1", "no", 1)
    one.publish(f"{topic}/2", "yes", 1)
    assert one.receive()[0].payload == b"yes"


def test_wildcards_do_not_reach_topics_that_begin_with_a_dollar(client, topic):
    one = client()
    one.subscribe("+/+/+", f"{topic}/mark")
    one.send(f"$hidden/{topic}", "not for wildcards", 1)
    assert not [message for message in one.received_until(one, f"{topic}/mark") if message.topic[0] == "$"]


def test_a_subscription_that_may_not_be_is_refused_with_0x87_and_the_rest_holds(strict_client, topic):
    one = strict_client()
    assert one.subscribe("forbidden/topic", topic) == [NOT_AUTHORIZED, 2]
    one.publish(topic, "x", 1)
    assert one.receive()[0].payload == b"x"


@pytest.mark.parametrize("qos", [1, 2])
def test_a_publish_that_may_not_be_is_refused_with_0x87_and_the_client_stays(strict_client, topic, qos):
    one = strict_client()
    one.subscribe(topic)
    one.send(f"{topic}/forbidden", "x", qos)
    assert one.publish(topic, "fine", 1) == 0
    assert [message.payload for message in one.receive()] == [b"fine"]


# ---- flow control ------------------------------------------------------------------------------------


def test_the_broker_sends_no_more_than_the_clients_receive_maximum(client, topic):
    slow, one = client("slow", acknowledges=False, ReceiveMaximum=2), client()
    slow.subscribe(f"{topic}/+", f"{topic}/deeper/mark")
    for number in range(5):
        one.publish(f"{topic}/{number}", str(number), 1)
    first = slow.receive(2)
    with pytest.raises(AssertionError):
        slow.receive(1, within_s=0.3)
    for message in first:
        slow.ack(message)
    assert [message.payload for message in first + slow.receive(2)] == [b"0", b"1", b"2", b"3"]


def test_a_client_beyond_the_brokers_receive_maximum_is_disconnected_with_0x93(tight, topic):
    one = tight()
    assert one.granted["ReceiveMaximum"] == 3
    one.mute()
    for number in range(4):
        one.send(topic, str(number), 2)
    one.unmute()
    assert one.wait_end() == RECEIVE_MAXIMUM_EXCEEDED


def test_a_packet_beyond_the_brokers_maximum_ends_the_connection_with_0x95(tight, topic):
    one = tight()
    assert one.granted["MaximumPacketSize"] == 2048
    one.send(topic, b"x" * 4096)
    assert one.wait_end() == PACKET_TOO_LARGE


def test_a_message_beyond_the_clients_maximum_is_left_out_for_it_alone(client, topic):
    small, large, one = client("small", MaximumPacketSize=200), client("large"), client()
    for reader in (small, large):
        reader.subscribe(f"{topic}/#")
    one.publish(topic, b"x" * 300, 1)
    one.publish(topic, b"fits", 1)
    assert small.receive()[0].payload == b"fits"
    assert [len(message.payload) for message in large.receive(2)] == [300, 4]


# ---- aliases -----------------------------------------------------------------------------------------


def test_a_client_names_a_topic_by_its_alias(tight, topic):
    one = tight()
    assert one.granted["TopicAliasMaximum"] == 2
    one.subscribe(f"{topic}/#")
    one.publish(f"{topic}/1", "named", 1, TopicAlias=1)
    one.publish("", "by alias", 1, TopicAlias=1)
    one.publish(f"{topic}/2", "named anew", 1, TopicAlias=1)
    one.publish("", "by alias", 1, TopicAlias=1)
    got = one.receive(4)
    assert [message.topic for message in got] == [f"{topic}/1"] * 2 + [f"{topic}/2"] * 2
    assert all("TopicAlias" not in message.properties for message in got)


@pytest.mark.parametrize("alias", [3, 65_535])
def test_an_alias_above_the_brokers_maximum_is_refused_with_0x94(tight, topic, alias):
    one = tight()
    one.send(topic, "x", 1, TopicAlias=alias)
    assert one.wait_end() == TOPIC_ALIAS_INVALID


def test_aliases_end_with_the_connection(client, topic):
    one = client(clean=False, SessionExpiryInterval=60)
    one.publish(topic, "named", 1, TopicAlias=1)
    one.close()
    one.open()
    one.send("", "by alias", 1, TopicAlias=1)
    assert one.wait_end() in {TOPIC_ALIAS_INVALID, 0x82}


def test_the_broker_uses_aliases_when_the_client_allows(client, topic):
    one = client(TopicAliasMaximum=1)
    one.subscribe(f"{topic}/+")
    for number in range(3):
        one.publish(f"{topic}/often", str(number), 1)
    got = one.receive(3)
    assert got[0].topic == f"{topic}/often"
    assert [message.topic for message in got[1:]] == ["", ""]
    assert {message.properties["TopicAlias"] for message in got} == {1}


def test_the_broker_uses_no_alias_when_the_client_does_not_allow(client, topic):
    one = client()
    one.subscribe(topic)
    for number in range(3):
        one.publish(topic, str(number), 1)
    assert [(message.topic, message.properties) for message in one.receive(3)] == [(topic, {})] * 3


# ---- what CONNACK says -------------------------------------------------------------------------------


def test_an_empty_client_identifier_is_assigned(lab: Place, recorders):
    first, second = (recorders(lab).open() for _ in range(2))
    names = {one.granted["AssignedClientIdentifier"] for one in (first, second)}
    assert len(names) == 2
    assert all(names)


def test_an_assigned_client_identifier_resumes_its_session(lab, recorders):
    first = recorders(lab, SessionExpiryInterval=60).open()
    name = first.granted["AssignedClientIdentifier"]
    first.close()
    again = recorders(lab, name, clean=False).open()
    assert again.session_present
    assert "AssignedClientIdentifier" not in again.granted


def test_server_keep_alive_is_what_the_broker_grants(tight, client):
    assert tight(keep_alive=120).granted["ServerKeepAlive"] == 5
    assert "ServerKeepAlive" not in tight("b", keep_alive=2).granted
    assert "ServerKeepAlive" not in client("c", keep_alive=120).granted


def test_a_silent_client_is_ended_and_its_will_published(client, topic):
    heir = client("heir")
    heir.subscribe(topic)
    client("silent", keep_alive=1, will=Will(topic, "silent for too long")).mute()
    assert heir.receive()[0].payload == b"silent for too long"


def test_an_unknown_authentication_method_is_refused(lab, recorders, name):
    with pytest.raises(RefusedError) as refused:
        recorders(lab, name, AuthenticationMethod="NOBODY-KNOWS").open()
    assert refused.value.reason == 0x8C


def test_reason_strings_are_left_out_when_the_client_does_not_want_them(strict_place, recorders, name, topic):
    quiet = recorders(strict_place, name, RequestProblemInformation=0).open()
    heard: list[dict[str, object]] = []

    def on_publish(_client, _data, _mid, reason, properties):
        heard.append({"reason": reason.value, **named(properties)})

    quiet.paho.on_publish = on_publish
    quiet.send(f"{topic}/forbidden", "x", 1)
    quiet.subscribe(topic)
    assert heard == [{"reason": NOT_AUTHORIZED}]
