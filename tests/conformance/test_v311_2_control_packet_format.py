"""MQTT 3.1.1, chapter 2: reserved flags and Packet Identifiers."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import CONNECT, v311
from tests.conformance.received import Puback, Pubcomp, Publish, Pubrec, Suback, Unsuback
from tests.conformance.steps import all_taken, lasting, poured, published, returned, subscriber, taken

PACKETS = {
    "puback": v311.puback(1),
    "pubrec": v311.pubrec(1),
    "pubrel": v311.pubrel(1),
    "pubcomp": v311.pubcomp(1),
    "subscribe": v311.subscribe(1, "a"),
    "unsubscribe": v311.unsubscribe(1, "a"),
    "pingreq": v311.pingreq(),
    "disconnect": v311.disconnect(),
}
EDGES = [1, 2, 255, 256, 0x0102, 32768, 65534, 65535]


@clause("MQTT-2.2.2-1", "MQTT-2.2.2-2", v=311)
@pytest.mark.parametrize("packet", PACKETS)
def test_mqtt_2_2_2_1_other_flags_end_the_connection(lab: Lab, packet: str) -> None:
    right = PACKETS[packet]
    for flags in range(16):
        if flags != right[0] & 0x0F:
            client = lab.client(dialect=v311)
            client.send(bytes([right[0] & 0xF0 | flags]) + right[1:])
            client.expect_close()


@clause("MQTT-2.2.2-2", v=311)
def test_mqtt_2_2_2_2_other_flags_of_connect_end_the_connection(lab: Lab) -> None:
    for flags in range(1, 16):
        wire = lab.dial(v311)
        wire.send(bytes([CONNECT | flags]) + v311.connect("a")[1:])
        wire.expect_close()


@clause("MQTT-2.3.1-1", v=311)
def test_mqtt_2_3_1_1_packet_identifier_zero_ends_the_connection(lab: Lab) -> None:
    for packet in (
        v311.publish("a", b"x", qos=1, pid=0),
        v311.publish("a", b"x", qos=2, pid=0),
        v311.subscribe(0, "a"),
        v311.unsubscribe(0, "a"),
    ):
        client = lab.client(dialect=v311)
        client.send(packet)
        client.expect_close()


@clause("MQTT-2.3.1-1", "MQTT-2.3.1-4", v=311)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_2_3_1_1_messages_in_flight_have_different_identifiers(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, qos), dialect=v311)
    poured(lab.client("p", dialect=v311), topic, 100, qos)
    pids = [client.expect(Publish, payload=b"%d" % at, qos=qos).pid for at in range(1, 101)]
    assert len(set(pids)) == 100


@clause("MQTT-2.3.1-4", v=311)
def test_mqtt_2_3_1_4_an_identifier_is_kept_until_acknowledged_and_free_again_after(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p", dialect=v311)
    client = lasting(lab, (topic, 1), dialect=v311)
    published(publisher, topic, b"held")
    held = client.expect(Publish, payload=b"held").pid
    client.drop()
    client = returned(lab, dialect=v311)
    client.expect(Publish, payload=b"held", pid=held, dup=True)
    used: list[int | None] = []
    for _ in range(4):
        poured(publisher, topic, 100, 1)
        used += [one.pid for one in all_taken(client, 100)]
    assert held not in used
    client.send(v311.puback(held or 0))
    client.expect_alive()
    client.drop()
    returned(lab, dialect=v311).expect_alive()


@clause("MQTT-2.3.1-5", v=311)
def test_mqtt_2_3_1_5_qos_0_goes_out_without_packet_identifier(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 0), dialect=v311)
    published(lab.client("p", dialect=v311), topic, b"payload", 2, pid=7)
    client.expect_bytes(v311.publish(topic, b"payload").hex(" "))


@clause("MQTT-2.3.1-6", v=311)
@pytest.mark.parametrize("pid", EDGES)
def test_mqtt_2_3_1_6_acknowledgements_repeat_the_identifier(lab: Lab, pid: int) -> None:
    client, two = lab.client(dialect=v311), pid.to_bytes(2).hex(" ")
    client.send(v311.publish(lab.topic("x"), b"x", qos=1, pid=pid))
    client.expect_bytes(f"40 02 {two}")
    client.send(v311.publish(lab.topic("x"), b"x", qos=2, pid=pid))
    client.expect_bytes(f"50 02 {two}")
    client.send(v311.pubrel(pid))
    client.expect_bytes(f"70 02 {two}")


@clause("MQTT-2.3.1-6", v=311)
def test_mqtt_2_3_1_6_pubrel_repeats_the_identifier(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), dialect=v311)
    for text in (b"1", b"2", b"3"):
        published(lab.client("p", dialect=v311), topic, text, 2)
        taken(client, payload=text, qos=2)


@clause("MQTT-2.3.1-6", v=311)
def test_mqtt_2_3_1_6_both_directions_number_by_themselves(lab: Lab) -> None:
    # The same identifier may be in use each way at once (2.3.1).
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2), dialect=v311)
    published(lab.client("p", dialect=v311), topic, b"x", 2)
    pid = client.expect(Publish).pid or 0
    client.send(v311.publish(lab.topic("y"), b"x", qos=2, pid=pid))
    client.expect(Pubrec, pid=pid)
    client.send(v311.pubrel(pid))
    client.expect(Pubcomp, pid=pid)
    client.send(v311.publish(lab.topic("y"), b"x", qos=1, pid=pid))
    client.expect(Puback, pid=pid)
    client.send(v311.pubrec(pid))
    client.expect_bytes(f"62 02 {pid.to_bytes(2).hex(' ')}")


@clause("MQTT-2.3.1-7", v=311)
@pytest.mark.parametrize("pid", EDGES)
def test_mqtt_2_3_1_7_suback_and_unsuback_repeat_the_identifier(lab: Lab, pid: int) -> None:
    client = lab.client(dialect=v311)
    client.send(v311.subscribe(pid, lab.topic("x")))
    client.expect(Suback, pid=pid, reasons=(0,))
    client.send(v311.unsubscribe(pid, lab.topic("x")))
    client.expect(Unsuback, pid=pid)
