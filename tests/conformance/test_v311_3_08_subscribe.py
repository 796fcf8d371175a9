"""MQTT 3.1.1, 3.8 SUBSCRIBE and 3.9 SUBACK."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import SUBSCRIBE, frame, v311
from tests.conformance.properties import sized
from tests.conformance.received import Publish, Suback
from tests.conformance.steps import heard, poured, published, subscribe, subscriber, taken
from tests.conformance.wire import Wire


@pytest.fixture
def client(lab: Lab) -> Wire:
    """A client that has subscribed to nothing."""
    return lab.client(dialect=v311)


def said(lab: Lab, octets: bytes) -> Wire:
    """A client that has just said this."""
    client = lab.client(dialect=v311)
    client.send(octets)
    return client


@clause("MQTT-3.8.1-1", v=311)
@pytest.mark.parametrize("flags", [flags for flags in range(16) if flags != 2])
def test_mqtt_3_8_1_1_other_flags_end_the_connection(lab: Lab, flags: int) -> None:
    said(lab, bytes([SUBSCRIBE | flags]) + v311.subscribe(1, "a")[1:]).expect_close()


@clause("MQTT-3.8.3-1", v=311)
@pytest.mark.parametrize("octets", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x00"])
def test_mqtt_3_8_3_1_a_topic_filter_is_utf8(lab: Lab, octets: bytes) -> None:
    said(lab, v311.subscribe(1, "good", octets)).expect_close()


@clause("MQTT-3.8.3-3", v=311)
def test_mqtt_3_8_3_3_a_subscribe_without_filter_ends_the_connection(lab: Lab) -> None:
    said(lab, v311.subscribe(1)).expect_close()


@clause("MQTT-3.8.3-3", v=311)
def test_mqtt_3_8_3_3_a_filter_has_its_qos(lab: Lab) -> None:
    whole = v311.subscribe(1, ("a", 1), ("bc", 2))
    for length in range(len(whole) - 2):
        if length != 6:  # one pair, whole
            said(lab, frame(whole[0], whole[2 : 2 + length])).expect_close()


@clause("MQTT-3.8.3-4", v=311)
@pytest.mark.parametrize("options", [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x81, 0xFF])
def test_mqtt_3_8_3_4_reserved_bits_and_qos_3_end_the_connection(lab: Lab, options: int) -> None:
    said(lab, v311.subscribe(1, (lab.topic("x"), options))).expect_close()
    said(lab, v311.subscribe(1, lab.topic("x"), (lab.topic("y"), options))).expect_close()


@clause("MQTT-3.8.4-1", "MQTT-3.8.4-2", v=311)
def test_mqtt_3_8_4_1_subscribe_is_answered_by_suback(lab: Lab, client: Wire) -> None:
    client.send(frame(SUBSCRIBE | 2, b"\xab\xcd" + sized(lab.topic("x")) + b"\x01"))
    client.expect_bytes("90 03 ab cd 01")


@clause("MQTT-3.8.4-3", v=311)
def test_mqtt_3_8_4_3_the_same_filter_again_replaces_the_subscription(lab: Lab, client: Wire) -> None:
    topic, publisher = lab.topic("x"), lab.client("p", dialect=v311)
    subscribe(client, (topic, 2))
    subscribe(client, (topic, 0), pid=2)
    published(publisher, topic, b"once", 2)
    client.expect(Publish, payload=b"once", qos=0)
    client.expect_alive()
    subscribe(client, (topic, 1), pid=3)
    published(publisher, topic, b"again", 2)
    taken(client, payload=b"again", qos=1)
    client.expect_alive()


@clause("MQTT-3.8.4-3", v=311)
def test_mqtt_3_8_4_3_retained_messages_are_sent_again(lab: Lab, client: Wire) -> None:
    publisher = lab.client("p", dialect=v311)
    for level in "ab":
        published(publisher, lab.topic(level), level.encode(), retain=True)
    for pid in (1, 2, 3):
        subscribe(client, lab.topic("+"), pid=pid)
        found = [client.expect(Publish, retain=True).payload for _ in "ab"]
        assert sorted(found) == [b"a", b"b"]
    for level in "ab":
        published(publisher, lab.topic(level), b"", retain=True)


@clause("MQTT-3.8.4-3", v=311)
def test_mqtt_3_8_4_3_the_flow_is_not_interrupted(lab: Lab, client: Wire) -> None:
    topic, publisher = lab.topic("x"), lab.client("p", dialect=v311)
    subscribe(client, topic)
    messages = [v311.publish(topic, b"%d" % at) for at in range(100)]
    for at in range(0, 100, 20):
        publisher.send(*messages[at : at + 20])
        client.send(v311.subscribe(at + 1, topic))
    payloads: list[int] = []
    answers = 0
    while len(payloads) < 100 or answers < 5:
        packet = client.next_packet()
        if isinstance(packet, Publish):
            payloads.append(int(packet.payload))
        else:
            assert isinstance(packet, Suback)
            answers += 1
    assert payloads == list(range(100))


@clause("MQTT-3.8.4-4", "MQTT-3.9.3-1", "MQTT-3.8.4-5", v=311)
def test_mqtt_3_8_4_4_several_filters_get_one_suback(lab: Lab, client: Wire) -> None:
    topics = [lab.topic(str(at)) for at in range(6)]
    client.send(v311.subscribe(5, *((topic, (at * 2) % 3) for at, topic in enumerate(topics))))
    client.expect_bytes("90 08 00 05 00 02 01 00 02 01")
    publisher = lab.client("p", dialect=v311)
    for at, topic in enumerate(topics):
        published(publisher, topic, b"x", 2)
        taken(client, topic=topic, qos=(at * 2) % 3)


@clause("MQTT-3.8.4-4", v=311)
def test_mqtt_3_8_4_4_the_same_filter_twice_counts_as_the_last(lab: Lab, client: Wire) -> None:
    topic = lab.topic("x")
    client.send(v311.subscribe(5, (topic, 2), (topic, 0)))
    client.expect(Suback, pid=5, reasons=(2, 0))
    published(lab.client("p", dialect=v311), topic, b"x", 2)
    client.expect(Publish, qos=0)
    client.expect_alive()


@clause("MQTT-3.8.4-5", "MQTT-3.9.3-2", v=311)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_8_4_5_the_return_code_is_the_qos_granted(lab: Lab, client: Wire, qos: int) -> None:
    client.send(v311.subscribe(1, (lab.topic("x"), qos)))
    client.expect_bytes(f"90 03 00 01 {qos:02x}")


@clause("MQTT-3.9.3-2", v=311)
def test_mqtt_3_9_3_2_a_subscription_refused_is_0x80(lab: Lab, client: Wire) -> None:
    # The open lab's policy grants no topics that begin with $, but $SYS.
    if not client.strict:
        pytest.skip("what a foreign broker refuses is not known")
    client.send(v311.subscribe(1, lab.topic("x"), "$other/x", "$SYS/x"))
    client.expect_bytes("90 05 00 01 00 80 00")


@clause("MQTT-3.8.4-6", v=311)
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_8_4_6_delivery_is_at_the_lower_qos(lab: Lab, qos: int, granted: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, granted), dialect=v311)
    published(lab.client("p", dialect=v311), topic, b"x", qos)
    taken(client, payload=b"x", qos=min(qos, granted))
    client.expect_alive()


@clause("MQTT-3.8.4-6", v=311)
def test_mqtt_3_8_4_6_shared_subscriptions_are_served_to_mqtt_3_1_1(lab: Lab) -> None:
    # Not of this standard: Bartizan lets its clients share as those of MQTT 5 do (there 4.8.2).
    topic, filter = lab.topic("x"), f"$share/{lab.name('g')}/{lab.topic('+')}"
    members = [subscriber(lab, (filter, 1), suffix=f"s{at}", dialect=v311) for at in range(2)]
    poured(lab.client("p", dialect=v311), topic, 20, 2)
    found = [one for member in members for one in heard(member)]
    assert sorted(int(one.payload) for one in found) == list(range(1, 21))
    assert {one.qos for one in found} == {1}
