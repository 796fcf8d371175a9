"""4.3 Quality of Service levels, both versions: each side of each exchange."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Dialect, v5
from tests.conformance.received import Puback, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.steps import in_both, lasting, published, returned, subscriber, taken


@clause("MQTT-4.3.1-1", v=5)
@clause("MQTT-4.3.1-1", v=311)
@in_both
def test_mqtt_4_3_1_1_qos_0_goes_out_with_qos_0_and_without_dup(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), dialect=dialect)
    lab.client("p", dialect=dialect).send(dialect.publish(topic, b"x"))
    client.expect_bytes(dialect.publish(topic, b"x").hex(" "))


@clause("MQTT-4.3.1-1", v=5)
@clause("MQTT-4.3.1-1", v=311)
@in_both
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_3_1_1_so_does_what_was_published_higher(lab: Lab, dialect: Dialect, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 0), dialect=dialect)
    publisher = lab.client("p", dialect=dialect)
    publisher.send(dialect.publish(topic, b"x", qos=qos, pid=3, dup=True))
    publisher.send(dialect.pubrel(3) if qos == 2 else b"")
    client.expect_bytes(dialect.publish(topic, b"x").hex(" "))


@clause("MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-4.3.2-3", v=5)
@clause("MQTT-4.3.2-1", v=311)
@in_both
def test_mqtt_4_3_2_1_qos_1_is_in_flight_until_puback(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client, publisher = lasting(lab, (topic, 1), dialect=dialect), lab.client("p", dialect=dialect)
    for text in (b"1", b"2"):
        published(publisher, topic, text)
    first = client.expect(Publish, payload=b"1", qos=1, dup=False).pid or 0
    second = client.expect(Publish, payload=b"2", qos=1, dup=False).pid or 0
    assert first != second
    client.send(dialect.puback(first))
    client.expect_alive()
    client.drop()
    again = returned(lab, dialect=dialect)
    taken(again, payload=b"2", qos=1, dup=True, pid=second)
    again.expect_alive()
    again.drop()
    returned(lab, dialect=dialect).expect_nothing()


@clause("MQTT-4.3.2-4", v=5)
def test_mqtt_4_3_2_4_puback_means_that_the_message_is_the_brokers(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 1)).drop()
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=1, pid=77))
    publisher.expect(Puback, pid=77, reason=0)
    publisher.drop()
    taken(returned(lab), payload=b"x", qos=1)


@clause("MQTT-4.3.2-5", v=5)
@pytest.mark.parametrize("dup", [False, True])
def test_mqtt_4_3_2_5_after_puback_the_identifier_is_of_a_new_message(lab: Lab, dup: bool) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, topic), lab.client("p")
    for _ in range(2):
        publisher.send(v5.publish(topic, b"same", qos=1, pid=5, dup=dup))
        publisher.expect(Puback, pid=5, reason=0)
        client.expect(Publish, payload=b"same", dup=False)


@clause("MQTT-4.3.2-2", v=311)
@in_both
def test_mqtt_4_3_2_2_the_receiver_of_qos_1_acknowledges_and_forgets(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, topic, dialect=dialect), lab.client("p", dialect=dialect)
    for dup in (False, True):
        publisher.send(dialect.publish(topic, b"same", qos=1, pid=9, dup=dup))
        publisher.expect(Puback, pid=9, reason=0)
        client.expect(Publish, payload=b"same")


@clause("MQTT-4.3.3-1", "MQTT-4.3.3-2", "MQTT-4.3.3-3", "MQTT-4.3.3-4", "MQTT-4.3.3-5", "MQTT-4.3.3-6", v=5)
@clause("MQTT-4.3.3-1", v=311)
@in_both
def test_mqtt_4_3_3_1_qos_2_is_in_flight_until_pubcomp(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    client, publisher = lasting(lab, (topic, 2), dialect=dialect), lab.client("p", dialect=dialect)
    for text in (b"1", b"2"):
        published(publisher, topic, text, 2)
    first = client.expect(Publish, payload=b"1", qos=2, dup=False).pid or 0
    second = client.expect(Publish, payload=b"2", qos=2, dup=False).pid or 0
    assert first != second
    client.send(dialect.pubrec(first))
    client.expect(Pubrel, pid=first)
    client.drop()
    again = returned(lab, dialect=dialect)
    resent = [again.next_packet(), again.next_packet()]
    # No PUBLISH once PUBREL was sent; the other is still to be received.
    assert [packet.pid for packet in resent if isinstance(packet, Pubrel)] == [first]
    assert [(p.pid, p.payload, p.dup) for p in resent if isinstance(p, Publish)] == [(second, b"2", True)]
    again.send(dialect.pubcomp(first), dialect.pubrec(second))
    again.expect(Pubrel, pid=second)
    again.send(dialect.pubcomp(second))
    again.expect_alive()
    again.drop()
    returned(lab, dialect=dialect).expect_nothing()


@clause("MQTT-4.3.3-4", v=5)
def test_mqtt_4_3_3_4_pubrec_with_no_matching_subscribers_is_success(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    published(lab.client("p"), topic, b"x", 2)
    pid = client.expect(Publish).pid or 0
    client.send(v5.pubrec(pid, 0x10))
    client.expect(Pubrel, pid=pid, reason=0)


@clause("MQTT-4.3.3-4", v=5)
def test_mqtt_4_3_3_4_a_repeated_pubrec_is_answered_again(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    published(lab.client("p"), topic, b"x", 2)
    pid = client.expect(Publish).pid or 0
    for _ in range(2):
        client.send(v5.pubrec(pid))
        client.expect(Pubrel, pid=pid, reason=0)


@clause("MQTT-4.3.3-7", v=5)
@pytest.mark.parametrize("received", [False, True])
def test_mqtt_4_3_3_7_a_message_under_way_does_not_expire(lab: Lab, received: bool) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 2))
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=2, pid=1, props={"message_expiry_interval": 1}), v5.pubrel(1))
    pid = client.expect(Publish, payload=b"x").pid or 0
    if received:
        client.send(v5.pubrec(pid))
        client.expect(Pubrel, pid=pid)
    client.expect_nothing(for_s=1.6)
    client.drop()
    returned(lab).expect(Pubrel if received else Publish, pid=pid)


@clause("MQTT-4.3.3-8", v=5)
def test_mqtt_4_3_3_8_pubrec_means_that_the_message_is_the_brokers(lab: Lab) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, 2)).drop()
    publisher = lab.client("p", props={"session_expiry_interval": 0})
    publisher.send(v5.publish(topic, b"x", qos=2, pid=77))
    publisher.expect(Pubrec, pid=77, reason=0)
    publisher.drop()
    taken(returned(lab), payload=b"x", qos=2)


@clause("MQTT-4.3.3-9", v=5)
def test_mqtt_4_3_3_9_after_a_refusing_pubrec_the_identifier_is_of_a_new_message(lab: Lab) -> None:
    # What says it is UTF-8 and is not is refused with 0x99 (3.3.2.3.2).
    topic, says_text = lab.topic("x"), {"payload_format_indicator": 1}
    client, publisher = subscriber(lab, topic), lab.client("p")
    publisher.send(v5.publish(topic, b"\xff", qos=2, pid=5, props=says_text))
    publisher.expect(Pubrec, pid=5, reason=0x99)
    publisher.send(v5.publish(topic, b"good", qos=2, pid=5, props=says_text))
    publisher.expect(Pubrec, pid=5, reason=0)
    publisher.send(v5.pubrel(5))
    publisher.expect(Pubcomp, pid=5, reason=0)
    client.expect(Publish, payload=b"good")


@clause("MQTT-4.3.3-2", v=311)
@in_both
@pytest.mark.parametrize("dup", [False, True])
def test_mqtt_4_3_3_2_the_receiver_of_qos_2_delivers_once_until_pubrel(lab: Lab, dialect: Dialect, dup: bool) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, topic, dialect=dialect), lab.client("p", dialect=dialect)
    for text in (b"first", b"second"):
        for _ in range(3):
            publisher.send(dialect.publish(topic, text, qos=2, pid=9, dup=dup))
            publisher.expect(Pubrec, pid=9, reason=0)
        publisher.send(dialect.pubrel(9))
        publisher.expect(Pubcomp, pid=9, reason=0)
        client.expect(Publish, payload=text)
    client.expect_nothing()


@clause("MQTT-4.3.3-10", v=5)
def test_mqtt_4_3_3_10_before_pubrel_the_same_identifier_is_no_new_message(lab: Lab) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, topic), lab.client("p")
    # Even another payload: the identifier alone says which message this is.
    for text in (b"first", b"first", b"other"):
        publisher.send(v5.publish(topic, text, qos=2, pid=5, dup=True))
        publisher.expect(Pubrec, pid=5, reason=0)
    client.expect(Publish, payload=b"first")
    client.expect_nothing()


@clause("MQTT-4.3.3-11", v=5)
def test_mqtt_4_3_3_11_pubrel_is_answered_by_pubcomp(lab: Lab) -> None:
    publisher = lab.client("p")
    for pid in (1, 300, 65535):
        publisher.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid), v5.pubrel(pid))
        publisher.expect(Pubrec, pid=pid)
        publisher.expect(Pubcomp, pid=pid, reason=0)


@clause("MQTT-4.3.3-11", v=5)
def test_mqtt_4_3_3_11_a_repeated_pubrel_is_answered_too(lab: Lab) -> None:
    # The first PUBCOMP may have been lost with its connection; 0x92 says that nothing is left.
    publisher = lab.client("p")
    publisher.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=5), v5.pubrel(5), v5.pubrel(5))
    publisher.expect(Pubrec, pid=5)
    publisher.expect(Pubcomp, pid=5, reason=0)
    assert publisher.expect(Pubcomp, pid=5).reason in (0x00, 0x92)


@clause("MQTT-4.3.3-11", v=5)
def test_mqtt_4_3_3_11_a_pubrel_repeated_in_a_resumed_session_is_answered_with_success(lab: Lab) -> None:
    # The PUBCOMP was lost with its connection. A client may take 0x92 for a failure, and nothing has failed.
    publisher = lab.client("p", props={"session_expiry_interval": 60})
    publisher.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=5))
    publisher.expect(Pubrec, pid=5)
    publisher.send(v5.pubrel(5))
    publisher.expect(Pubcomp, pid=5, reason=0)
    publisher.drop()
    again = lab.client("p", clean=False, props={"session_expiry_interval": 60})
    again.send(v5.pubrel(5))
    answer = again.expect(Pubcomp, pid=5)
    assert answer.reason == 0x00 or not lab.target.strict


@clause("MQTT-4.3.3-12", v=5)
@pytest.mark.parametrize("dup", [False, True])
def test_mqtt_4_3_3_12_after_pubcomp_the_identifier_is_of_a_new_message(lab: Lab, dup: bool) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, topic), lab.client("p")
    for _ in range(2):
        publisher.send(v5.publish(topic, b"same", qos=2, pid=5, dup=dup), v5.pubrel(5))
        publisher.expect(Pubrec, pid=5, reason=0)
        publisher.expect(Pubcomp, pid=5, reason=0)
        client.expect(Publish, payload=b"same", dup=False)


@clause("MQTT-4.3.3-13", v=5)
def test_mqtt_4_3_3_13_the_exchange_is_completed_after_the_message_expired(lab: Lab) -> None:
    topic = lab.topic("x")
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=2, pid=5, props={"message_expiry_interval": 1}))
    publisher.expect(Pubrec, pid=5)
    publisher.expect_nothing(for_s=1.6)
    publisher.send(v5.publish(topic, b"x", qos=2, pid=5, dup=True, props={"message_expiry_interval": 1}))
    publisher.expect(Pubrec, pid=5)
    publisher.send(v5.pubrel(5))
    publisher.expect(Pubcomp, pid=5, reason=0)
