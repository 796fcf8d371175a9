"""MQTT 5, 3.14 DISCONNECT: both ways; its reasons, its properties, and that it is the last word."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, frame, v5
from tests.conformance.received import Connack, Disconnect, Publish
from tests.conformance.steps import cramped, kept, published_meanwhile, subscriber
from tests.conformance.wire import Wire

# Table 3-10, what a client may say; with 0x00 the Will is not published.
OF_CLIENTS = (0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)


@clause("MQTT-3.14.0-1", v=5)
@pytest.mark.parametrize(
    "octets",
    ["e0 00", "c0 00", "30 03 00 01 61", "00 00", "ff ff ff ff ff", "10 ff ff ff ff 7f"],
)
def test_mqtt_3_14_0_1_before_connack_there_is_no_disconnect(wire: Wire, octets: str) -> None:
    wire.send(octets)
    wire.expect_close()


@clause("MQTT-3.14.0-1", v=5)
def test_mqtt_3_14_0_1_a_refused_connect_gets_connack_and_no_disconnect(wire: Wire) -> None:
    wire.send(v5.connect("a", props={"receive_maximum": 0}))
    wire.expect(Connack, reason=0x82)
    wire.expect_close()


@clause("MQTT-3.14.1-1", v=5)
@pytest.mark.parametrize("flags", [0x01, 0x02, 0x04, 0x08, 0x0F])
def test_mqtt_3_14_1_1_other_flags_are_malformed(lab: Lab, flags: int) -> None:
    client = lab.client()
    client.send(frame(0xE0 | flags, b""))
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.14.1-1", v=5)
def test_mqtt_3_14_1_1_a_malformed_disconnect_publishes_the_will(lab: Lab) -> None:
    watcher = subscriber(lab, lab.topic("will"))
    client = lab.client(will=Will(topic=lab.topic("will"), payload=b"gone"))
    client.send("e1 00")
    client.expect_refusal(Disconnect, 0x81)
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.14.2-1", v=5)
@pytest.mark.parametrize("reason", [None, 0x00])
def test_mqtt_3_14_2_1_a_normal_disconnection_is_taken(lab: Lab, reason: int | None) -> None:
    client = lab.client()
    client.send(v5.disconnect(reason))
    client.expect_close()


@clause("MQTT-3.14.2-1", v=5)
@pytest.mark.parametrize("reason", OF_CLIENTS)
def test_mqtt_3_14_2_1_every_other_reason_of_a_client_publishes_the_will(lab: Lab, reason: int) -> None:
    watcher = subscriber(lab, lab.topic("will"))
    client = lab.client(will=Will(topic=lab.topic("will"), payload=b"gone"))
    client.send(v5.disconnect(reason))
    client.expect_close()
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.14.2-1", v=5)
@pytest.mark.parametrize("reason", [0x01, 0x10, 0x7F, 0x8B, 0x8E, 0x92, 0xFF])
def test_mqtt_3_14_2_1_a_reason_that_no_client_has_is_refused(lab: Lab, reason: int) -> None:
    client = lab.client()
    client.send(v5.disconnect(reason))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-3.14.2-1", v=5)
@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("00 00", 0x81),
        ("36 05 00 01 61 00 01", 0x81),
        ("c1 00", 0x81),
        ("20 03 00 00 00", 0x82),
        ("30 06 00 01 61 02 23 00", 0x81),
        ("30 07 00 01 61 03 23 00 00", 0x94),
        ("30 04 00 01 2b 00", 0x90),
        ("82 07 00 01 00 00 01 23 03", 0x82),
        ("82 08 00 01 00 00 02 61 23 00", 0x8F),
    ],
)
def test_mqtt_3_14_2_1_the_servers_reason_is_the_one_that_fits(lab: Lab, octets: str, reason: int) -> None:
    client = lab.client()
    client.send(octets)
    client.expect_refusal(Disconnect, reason)


@clause("MQTT-3.14.2-2", v=5)
def test_mqtt_3_14_2_2_the_servers_disconnect_has_no_session_expiry(lab: Lab) -> None:
    # The decoder refuses one in any test; here is a Session that has one to tell.
    earlier = lab.client(props=kept(v5))
    lab.client()
    assert "session_expiry_interval" not in earlier.expect(Disconnect, reason=0x8E).properties


@clause("MQTT-3.14.2-3", "MQTT-3.14.2-4", v=5)
@pytest.mark.parametrize("octets", ["c1 00", "20 03 00 00 00", "30 07 00 01 61 03 23 00 00"])
def test_mqtt_3_14_2_3_a_disconnect_fits_the_clients_maximum_packet_size(lab: Lab, octets: str) -> None:
    client, limit = cramped(lab)
    client.send(octets)
    assert client.expect(Disconnect).size <= limit
    client.expect_close()


@clause("MQTT-3.14.4-1", "MQTT-3.14.4-2", v=5)
def test_mqtt_3_14_4_1_nothing_follows_the_servers_disconnect_but_the_close(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic)
    # What is asked after the fault, in the same write, is not answered.
    client.send("c1 00", v5.pingreq(), v5.publish(topic, b"no"), v5.publish(topic, b"no", qos=1, pid=1))
    client.expect(Disconnect, reason=0x81)
    client.expect_close()


@clause("MQTT-3.14.4-1", v=5)
def test_mqtt_3_14_4_1_nothing_after_a_clients_disconnect_is_processed(lab: Lab) -> None:
    watcher = subscriber(lab, lab.topic("x"), suffix="w")
    client = lab.client()
    client.send(v5.disconnect(), v5.publish(lab.topic("x"), b"no"), v5.pingreq())
    client.expect_close()
    published_meanwhile(lab, lab.topic("x"), b"yes")
    watcher.expect(Publish, payload=b"yes")


@clause("MQTT-3.14.4-1", v=5)
def test_mqtt_3_14_4_1_what_came_before_a_clients_disconnect_is_processed(lab: Lab) -> None:
    watcher = subscriber(lab, (lab.topic("x"), 2), suffix="w")
    client = lab.client()
    last = v5.publish(lab.topic("x"), b"last")
    client.send(last + v5.disconnect())
    watcher.expect(Publish, payload=b"last")


@clause("MQTT-3.14.4-2", v=5)
def test_mqtt_3_14_4_2_the_server_closes_after_a_clients_disconnect(lab: Lab) -> None:
    client = lab.client()
    client.send("e0 00")
    client.expect_close(within_s=15)


@clause("MQTT-3.14.4-3", v=5)
@pytest.mark.parametrize("octets", ["e0 00", "e0 01 00", "e0 02 00 00"])
@pytest.mark.parametrize("delay", [0, 1])
def test_mqtt_3_14_4_3_a_normal_disconnection_discards_the_will(lab: Lab, octets: str, delay: int) -> None:
    topic = lab.topic("will")
    watcher = subscriber(lab, topic)
    will = Will(topic=topic, payload=b"gone", props={"will_delay_interval": delay})
    client = lab.client(will=will, props={"session_expiry_interval": delay})
    client.send(octets)
    client.expect_close()
    watcher.expect_nothing(for_s=0.2 + 1.1 * delay)
