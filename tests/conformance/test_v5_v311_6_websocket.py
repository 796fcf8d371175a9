"""Chapter 6, both versions: MQTT over WebSocket, in binary frames however they are cut."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Dialect, Will, v5
from tests.conformance.received import Connack, Pingresp, Puback, Publish, Suback
from tests.conformance.steps import in_both, published, subscribe, subscriber, taken
from tests.conformance.websocket import BINARY, CONTINUATION, PING, TEXT, WebSocket
from tests.conformance.wire import Wire


def connected(lab: Lab, dialect: Dialect, suffix: str = "a", **connect: object) -> tuple[WebSocket, Wire]:
    """A client over WebSocket whose CONNECT has been accepted."""
    websocket = lab.upgrade()
    wire = lab.over(websocket, dialect)
    wire.send(dialect.connect(lab.name(suffix), **connect))  # type: ignore[arg-type]
    wire.expect(Connack, reason=0)
    return websocket, wire


@clause("MQTT-6.0.0-1", v=5)
@clause("MQTT-6.0.0-1", v=311)
@in_both
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_6_0_0_1_packets_travel_in_binary_frames(lab: Lab, dialect: Dialect, qos: int) -> None:
    # Reading a frame that is not binary fails the test.
    topic = lab.topic("x")
    _, client = connected(lab, dialect)
    subscribe(client, (topic, qos))
    published(lab.client("p", dialect=dialect), topic, b"to the browser", qos)
    taken(client, payload=b"to the browser", qos=qos)
    watcher = subscriber(lab, (topic, qos), suffix="w", dialect=dialect)
    _, publisher = connected(lab, dialect, "b")
    published(publisher, topic, b"from the browser", qos)
    taken(watcher, payload=b"from the browser", qos=qos)


@clause("MQTT-6.0.0-1", v=5)
@clause("MQTT-6.0.0-1", v=311)
@in_both
def test_mqtt_6_0_0_1_a_text_frame_ends_the_connection(lab: Lab, dialect: Dialect) -> None:
    for payload in (dialect.pingreq(), b"", b"hello"):
        websocket, client = connected(lab, dialect)
        websocket.send_frame(TEXT, payload)
        client.expect_close()
        if client.strict:
            assert websocket.statuses == [1003]  # RFC 6455, 7.4.1: data it cannot accept


@clause("MQTT-6.0.0-1", v=5)
@clause("MQTT-6.0.0-1", v=311)
@in_both
def test_mqtt_6_0_0_1_a_text_frame_in_place_of_connect_does_too(lab: Lab, dialect: Dialect) -> None:
    websocket = lab.upgrade()
    websocket.send_frame(TEXT, dialect.connect(lab.name("a")))
    lab.over(websocket, dialect).expect_close()


@clause("MQTT-6.0.0-1", v=5)
def test_mqtt_6_0_0_1_frames_against_rfc_6455_end_the_connection(lab: Lab) -> None:
    wrong = [
        {"opcode": BINARY, "masked": False},  # 5.1
        {"opcode": CONTINUATION},  # 5.4: of nothing
        {"opcode": 0x3},  # 5.2: reserved
        {"opcode": BINARY | 0x40},  # 5.2: an extension nobody agreed on
        {"opcode": PING, "final": False},  # 5.5
        {"opcode": PING, "payload": b"x" * 126},  # 5.5
    ]
    for flaw in wrong:
        websocket, client = connected(lab, v5)
        websocket.send_frame(**{"payload": b"x", **flaw})  # type: ignore[arg-type]
        client.expect_close()


@clause("MQTT-6.0.0-1", v=5)
@clause("MQTT-6.0.0-1", v=311)
@in_both
def test_mqtt_6_0_0_1_the_close_of_a_websocket_is_no_disconnect(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("will")
    watcher = subscriber(lab, topic, suffix="w", dialect=dialect)
    for leave in ("close", "drop", "disconnect"):
        websocket, client = connected(lab, dialect, will=Will(topic=topic, payload=leave.encode()))
        if leave == "close":
            websocket.send_frame(0x8, (1000).to_bytes(2))
            client.expect_close()
            assert websocket.statuses == [1000]
        elif leave == "drop":
            client.drop()
        else:
            client.disconnect()
            watcher.expect_nothing()
            continue
        watcher.expect(Publish, payload=leave.encode())


@clause("MQTT-6.0.0-2", v=5)
@clause("MQTT-6.0.0-2", v=311)
@in_both
def test_mqtt_6_0_0_2_a_packet_may_lie_across_frames(lab: Lab, dialect: Dialect) -> None:
    topic, websocket = lab.topic("x"), lab.upgrade()
    client = lab.over(websocket, dialect)
    for octet in dialect.connect(lab.name("a")) + dialect.subscribe(1, topic) + dialect.publish(topic, b"slow"):
        websocket.send_frame(BINARY, bytes([octet]))
        websocket.send_frame(BINARY)
    client.expect(Connack, reason=0)
    client.expect(Suback)
    client.expect(Publish, payload=b"slow")


@clause("MQTT-6.0.0-2", v=5)
@clause("MQTT-6.0.0-2", v=311)
@in_both
def test_mqtt_6_0_0_2_packets_may_share_a_frame(lab: Lab, dialect: Dialect) -> None:
    topic, websocket = lab.topic("x"), lab.upgrade()
    client = lab.over(websocket, dialect)
    packets = dialect.connect(lab.name("a")) + dialect.publish(topic, b"x", qos=1, pid=1) + dialect.pingreq()
    half = dialect.publish(topic, b"y", qos=1, pid=2)
    websocket.send_frame(BINARY, packets + half[:5])
    client.expect(Connack, reason=0)
    client.expect(Puback, pid=1)
    client.expect(Pingresp)
    websocket.send_frame(BINARY, half[5:] + dialect.pingreq())
    client.expect(Puback, pid=2)
    client.expect(Pingresp)


@clause("MQTT-6.0.0-2", v=5)
@clause("MQTT-6.0.0-2", v=311)
@in_both
def test_mqtt_6_0_0_2_messages_of_several_frames_are_read(lab: Lab, dialect: Dialect) -> None:
    topic = lab.topic("x")
    websocket, client = connected(lab, dialect)
    subscribe(client, topic)
    packet = dialect.publish(topic, b"in four frames")
    websocket.send_frame(BINARY, packet[:3], final=False)
    websocket.send_frame(PING, b"between")
    websocket.send_frame(CONTINUATION, packet[3:7], final=False)
    websocket.send_frame(CONTINUATION, final=False)
    websocket.send_frame(CONTINUATION, packet[7:])
    client.expect(Publish, payload=b"in four frames")
    client.expect_alive()
    assert websocket.pongs == [b"between"]


@clause("MQTT-6.0.0-2", v=5)
@clause("MQTT-6.0.0-2", v=311)
@in_both
@pytest.mark.parametrize("size", [100, 125, 126, 127, 65000, 65535, 65536, 500000])
def test_mqtt_6_0_0_2_frames_of_every_length_are_read_and_written(lab: Lab, dialect: Dialect, size: int) -> None:
    topic = lab.topic("x")
    _, client = connected(lab, dialect)
    subscribe(client, (topic, 1))
    payload = bytes(at % 251 for at in range(size))
    client.send(dialect.publish(topic, payload))
    client.expect(Publish, payload=payload, within_s=10)


@clause("MQTT-6.0.0-4", v=5)
@clause("MQTT-6.0.0-4", v=311)
@in_both
@pytest.mark.parametrize("offers", ["mqtt", "mqtt, chat", "chat, mqtt", "chat,mqtt"])
def test_mqtt_6_0_0_4_the_sub_protocol_selected_is_mqtt(lab: Lab, dialect: Dialect, offers: str) -> None:
    websocket = lab.upgrade(offers=offers)
    assert websocket.upgrade.status == 101
    assert websocket.upgrade.headers["sec-websocket-protocol"] == "mqtt"
    client = lab.over(websocket, dialect)
    client.send(dialect.connect(lab.name("a")))
    client.expect(Connack, reason=0)


@clause("MQTT-6.0.0-3", v=5)
@clause("MQTT-6.0.0-3", v=311)
@pytest.mark.parametrize("offers", [None, "chat", "mqttx", "MQTT5"])
def test_mqtt_6_0_0_3_a_client_that_does_not_offer_mqtt_is_not_served(lab: Lab, offers: str | None) -> None:
    upgrade = lab.upgrade(offers=offers).upgrade
    assert upgrade.status != 101 or upgrade.headers.get("sec-websocket-protocol") is None
    if lab.target.strict:
        assert upgrade.status == 400


@clause("MQTT-6.0.0-4", v=5)
def test_mqtt_6_0_0_4_another_path_is_not_upgraded(lab: Lab) -> None:
    if lab.target.strict:  # the path is ours to choose
        assert lab.upgrade("/other").upgrade.status == 404


def test_a_browser_of_an_origin_not_listed_is_not_served(lab: Lab) -> None:
    # The open lab lists none; a client that is no browser sends none, as in all tests above.
    upgrade = lab.upgrade(origin="https://elsewhere.example").upgrade
    if lab.target.strict:
        assert upgrade.status == 403
