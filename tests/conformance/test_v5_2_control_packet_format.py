"""MQTT 5, chapter 2: reserved flags, Packet Identifiers, and properties that are none."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Disconnect, Puback, Pubcomp, Publish, Pubrec, Suback, Unsuback
from tests.conformance.steps import lasting, published, returned, subscriber, taken

# Each packet a connected client sends, right but for the flags a test puts in.
PACKETS = {
    "puback": v5.puback(1),
    "pubrec": v5.pubrec(1),
    "pubrel": v5.pubrel(1),
    "pubcomp": v5.pubcomp(1),
    "subscribe": v5.subscribe(1, "a"),
    "unsubscribe": v5.unsubscribe(1, "a"),
    "pingreq": v5.pingreq(),
    "disconnect": v5.disconnect(),
    "auth": v5.auth(0x19, {"authentication_method": "m"}),
}
EDGES = [1, 2, 255, 256, 0x0102, 32768, 65534, 65535]


@clause("MQTT-2.1.3-1", v=5)
@pytest.mark.parametrize("packet", PACKETS)
def test_mqtt_2_1_3_1_other_flags_are_malformed(lab: Lab, packet: str) -> None:
    right = PACKETS[packet]
    for flags in range(16):
        if flags != right[0] & 0x0F:
            client = lab.client()
            client.send(bytes([right[0] & 0xF0 | flags]) + right[1:])
            client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-2.1.3-1", v=5)
def test_mqtt_2_1_3_1_packet_type_zero_is_malformed(lab: Lab) -> None:
    for flags in (0, 2, 15):
        client = lab.client()
        client.send(bytes([flags, 0]))
        client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-2.1.3-1", v=5)
def test_mqtt_2_1_3_1_what_only_a_server_sends_is_refused(lab: Lab) -> None:
    for packet in ("20 03 00 00 00", "90 04 00 01 00 00", "b0 04 00 01 00 00", "d0 00"):
        client = lab.client()
        client.send(packet)
        client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-2.2.1-2", v=5)
def test_mqtt_2_2_1_2_qos_0_goes_out_without_packet_identifier(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    client.send(v5.publish(topic, b"payload"))
    client.expect_bytes(v5.publish(topic, b"payload").hex(" "))


@clause("MQTT-2.2.1-2", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_2_2_1_2_a_downgraded_message_loses_its_packet_identifier(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 0))
    published(lab.client("p"), topic, b"payload", qos, pid=7)
    client.expect_bytes(v5.publish(topic, b"payload").hex(" "))


@clause("MQTT-2.2.1-3", "MQTT-4.13.1-1", v=5)
def test_mqtt_2_2_1_3_packet_identifier_zero_is_refused(lab: Lab) -> None:
    for packet in (
        v5.publish("a", b"x", qos=1, pid=0),
        v5.publish("a", b"x", qos=2, pid=0),
        v5.subscribe(0, "a"),
        v5.unsubscribe(0, "a"),
    ):
        client = lab.client()
        client.send(packet)
        client.expect_refusal(Disconnect, 0x81, 0x82)


@clause("MQTT-2.2.1-4", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_2_2_1_4_messages_in_flight_have_different_identifiers(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client, publisher = subscriber(lab, (topic, qos)), lab.client("p")
    for pid in range(1, 101):
        published(publisher, topic, b"%d" % pid, qos, pid=pid)
    pids = [client.expect(Publish, payload=b"%d" % at, qos=qos).pid for at in range(1, 101)]
    assert len(set(pids)) == 100


@clause("MQTT-2.2.1-4", v=5)
def test_mqtt_2_2_1_4_an_identifier_in_flight_is_not_used_again(lab: Lab) -> None:
    # More messages than there are identifiers go past one that is never acknowledged.
    topic = lab.topic("x")
    client, publisher = subscriber(lab, (topic, 1)), lab.client("p")
    published(publisher, topic, b"first")
    held = client.expect(Publish, payload=b"first").pid
    for _ in range(132):
        publisher.send(*(v5.publish(topic, b"x", qos=1, pid=pid) for pid in range(1, 501)))
        pids = [client.expect(Publish, payload=b"x", within_s=10).pid or 0 for _ in range(500)]
        assert held not in pids
        assert len(set(pids)) == 500
        client.send(*map(v5.puback, pids))
        for pid in range(1, 501):
            publisher.expect(Puback, pid=pid)


@clause("MQTT-2.2.1-4", v=5)
def test_mqtt_2_2_1_4_identifiers_of_a_kept_session_stay_taken(lab: Lab) -> None:
    topic = lab.topic("x")
    client, publisher = lasting(lab, (topic, 1)), lab.client("p")
    for text in (b"1", b"2"):
        published(publisher, topic, text)
    pids = {client.expect(Publish).pid, client.expect(Publish).pid}
    client.drop()
    again = returned(lab)
    published(publisher, topic, b"3")
    assert {again.expect(Publish).pid, again.expect(Publish).pid} == pids
    assert again.expect(Publish, payload=b"3").pid not in pids


@clause("MQTT-2.2.1-5", v=5)
@pytest.mark.parametrize("pid", EDGES)
def test_mqtt_2_2_1_5_acknowledgements_repeat_the_identifier(lab: Lab, pid: int) -> None:
    client = lab.client()
    client.send(v5.publish(lab.topic("x"), b"x", qos=1, pid=pid))
    client.expect(Puback, pid=pid)
    client.send(v5.publish(lab.topic("x"), b"x", qos=2, pid=pid))
    client.expect(Pubrec, pid=pid)
    client.send(v5.pubrel(pid))
    client.expect(Pubcomp, pid=pid)


@clause("MQTT-2.2.1-5", v=5)
def test_mqtt_2_2_1_5_pubrel_repeats_the_identifier(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    for text in (b"1", b"2", b"3"):
        published(lab.client("p"), topic, text, 2)
        taken(client, payload=text, qos=2)  # and PUBREL is of the same identifier


@clause("MQTT-2.2.1-6", v=5)
@pytest.mark.parametrize("pid", EDGES)
def test_mqtt_2_2_1_6_suback_and_unsuback_repeat_the_identifier(lab: Lab, pid: int) -> None:
    client = lab.client()
    client.send(v5.subscribe(pid, lab.topic("x")))
    client.expect(Suback, pid=pid, reasons=(0,))
    client.send(v5.unsubscribe(pid, lab.topic("x")))
    client.expect(Unsuback, pid=pid, reasons=(0,))


@clause("MQTT-2.2.2-1", v=5)
def test_mqtt_2_2_2_1_no_properties_are_a_length_of_zero(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lab.client()
    client.send(v5.subscribe(1, topic))
    client.expect_bytes("90 04 00 01 00 00")
    client.send(v5.publish(topic, b"x"))
    client.expect_bytes(v5.publish(topic, b"x").hex(" "))
    client.send(v5.unsubscribe(2, topic))
    client.expect_bytes("b0 04 00 02 00 00")


@clause("MQTT-2.2.2-1", v=5)
@pytest.mark.parametrize(
    "packet",
    ["30 03 00 01 61", "32 05 00 01 61 00 01", "82 02 00 01", "a2 02 00 01", "40 05 00 01 00 05 00", "e0 02 00 05"],
    ids=["publish", "publish-qos-1", "subscribe", "unsubscribe", "puback", "disconnect"],
)
def test_mqtt_2_2_2_1_a_packet_that_ends_before_its_properties_is_malformed(lab: Lab, packet: str) -> None:
    client = lab.client()
    client.send(packet)
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-2.2.2-1", v=5)
def test_mqtt_2_2_2_1_packets_of_mqtt_3_1_1_are_malformed(lab: Lab) -> None:
    # Without a Property Length, the filter's own length is read as one.
    for packet in ("82 06 00 01 00 01 61 00", "a2 05 00 01 00 01 61"):
        client = lab.client()
        client.send(packet)
        client.expect_refusal(Disconnect, 0x81, 0x82, 0x8F)
