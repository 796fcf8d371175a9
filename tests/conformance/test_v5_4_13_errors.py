"""MQTT 5, 4.13 Handling errors: every packet, every way to get its properties or its end wrong."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import (
    AUTH,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Will,
    frame,
    v5,
)
from tests.conformance.properties import TABLE, Kind, Value, encode, sized, variable
from tests.conformance.received import Connack, Disconnect, Publish
from tests.conformance.steps import published, subscriber
from tests.conformance.wire import Wire

VALUES: dict[Kind, Value] = {
    "byte": 1,
    "two": 1,
    "four": 1,
    "variable": 1,
    "text": "t",
    "binary": b"b",
    "pair": ("n", "v"),
}
# Each packet a connected client sends with properties: first byte, what comes before and after.
FORMS = {
    "publish": (PUBLISH, sized("a"), b""),
    "puback": (PUBACK, b"\x00\x01\x00", b""),
    "pubrec": (PUBREC, b"\x00\x01\x00", b""),
    "pubrel": (PUBREL | 2, b"\x00\x01\x00", b""),
    "pubcomp": (PUBCOMP, b"\x00\x01\x00", b""),
    "subscribe": (SUBSCRIBE | 2, b"\x00\x01", sized("a") + b"\x00"),
    "unsubscribe": (UNSUBSCRIBE | 2, b"\x00\x01", sized("a")),
    "disconnect": (DISCONNECT, b"\x00", b""),
    "auth": (AUTH, b"\x19", b""),
}
ONCE = [
    (packet, name)
    for packet in FORMS
    for name, (_, _, where) in TABLE.items()
    if packet in where.split() and name not in ("user_property", "server_reference")
    if (packet, name) != ("publish", "subscription_identifier")
]
WHOLE = {
    "publish": v5.publish("ab", qos=1, pid=1, props={"content_type": "text"}),
    "subscribe": v5.subscribe(1, "ab", props={"user_property": [("n", "v")]}),
    "unsubscribe": v5.unsubscribe(1, "ab", props={"user_property": [("n", "v")]}),
}


def block(name: str) -> bytes:
    """One property with a value of its type, without the Property Length."""
    octets = encode({name: VALUES[TABLE[name][1]]})
    return octets[1:]


def packet_with(packet: str, properties: bytes, length: int | None = None) -> bytes:
    """The packet with this property block; `length` in place of its true length."""
    first, before, after = FORMS[packet]
    return frame(first, before + variable(len(properties) if length is None else length) + properties + after)


def refused(lab: Lab, octets: bytes, *reasons: int) -> None:
    client = lab.client()
    client.send(octets)
    client.expect_refusal(Disconnect, *reasons)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", FORMS)
def test_mqtt_4_13_1_1_a_property_of_another_packet_is_malformed(lab: Lab, packet: str) -> None:
    for name, (_, _, where) in TABLE.items():
        if packet not in where.split():
            refused(lab, packet_with(packet, block(name)), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", FORMS)
def test_mqtt_4_13_1_1_a_property_that_does_not_exist_is_malformed(lab: Lab, packet: str) -> None:
    for identifier in (0x00, 0x04, 0x0A, 0x14, 0x20, 0x2B, 0x7F, 0x80, 0x3FFF):
        refused(lab, packet_with(packet, variable(identifier) + b"\x00\x00"), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize(("packet", "name"), ONCE)
def test_mqtt_4_13_1_1_a_property_given_twice_is_a_protocol_error(lab: Lab, packet: str, name: str) -> None:
    refused(lab, packet_with(packet, block(name) * 2), 0x82)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", FORMS)
def test_mqtt_4_13_1_1_a_property_cut_short_is_malformed(lab: Lab, packet: str) -> None:
    names = [name for name, (_, _, where) in TABLE.items() if packet in where.split()]
    for name in names:
        whole = block(name)
        for length in range(1, len(whole)):
            refused(lab, packet_with(packet, whole[:length]), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", FORMS)
def test_mqtt_4_13_1_1_a_property_length_past_the_end_is_malformed(lab: Lab, packet: str) -> None:
    for length in (20, 127, 16384, 268435455):
        refused(lab, packet_with(packet, block("user_property"), length), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", [name for name in FORMS if name not in ("publish", "subscribe", "unsubscribe")])
def test_mqtt_4_13_1_1_bytes_after_the_end_are_malformed(lab: Lab, packet: str) -> None:
    first, before, _ = FORMS[packet]
    # AUTH may be found to lack its Authentication Method first (3.15.2.2.2).
    refused(lab, frame(first, before + b"\x00" + b"\x00"), 0x81, *([0x82] if packet == "auth" else []))


@clause("MQTT-4.13.1-1", v=5)
def test_mqtt_4_13_1_1_pingreq_has_no_body(lab: Lab) -> None:
    refused(lab, frame(PINGREQ, b"\x00"), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", ["puback", "pubrec", "pubrel", "pubcomp"])
def test_mqtt_4_13_1_1_an_acknowledgement_without_identifier_is_malformed(lab: Lab, packet: str) -> None:
    first, before, _ = FORMS[packet]
    for length in (0, 1):
        refused(lab, frame(first, before[:length]), 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("packet", WHOLE)
def test_mqtt_4_13_1_1_a_packet_that_ends_anywhere_else_is_refused(lab: Lab, packet: str) -> None:
    octets = WHOLE[packet]
    for length in range(len(octets) - 2):
        # Cut right behind the properties, SUBSCRIBE is well-formed but has no Topic Filter.
        refused(lab, frame(octets[0], octets[2 : 2 + length]), 0x81, 0x82)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize(
    "props",
    [{"payload_format_indicator": 2}, {"payload_format_indicator": 255}],
)
def test_mqtt_4_13_1_1_a_value_that_does_not_exist_is_a_protocol_error(lab: Lab, props: dict[str, int]) -> None:
    refused(lab, v5.publish("a", b"x", props=props), 0x82, 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("name", [name for name, (_, _, where) in TABLE.items() if "will" not in where.split()])
def test_mqtt_4_13_1_1_will_properties_are_checked_too(wire: Wire, name: str) -> None:
    wire.send(v5.connect("a", will=Will(topic="w", props=block(name))))
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("name", [name for name, (_, _, where) in TABLE.items() if "will" in where.split()])
def test_mqtt_4_13_1_1_a_will_property_given_twice_is_a_protocol_error(wire: Wire, name: str) -> None:
    wire.send(v5.connect("a", will=Will(topic="w", props=block(name) * 2)))
    if name == "user_property":
        wire.expect(Connack, reason=0)
    else:
        wire.expect_refusal(Connack, 0x82)


@clause("MQTT-4.13.1-1", v=5)
def test_mqtt_4_13_1_1_a_packet_larger_than_the_broker_takes_is_refused(lab: Lab) -> None:
    client = lab.dial_tight()
    client.send(v5.connect(lab.name("a")))
    maximum = client.expect(Connack, reason=0).properties["maximum_packet_size"]
    assert maximum == 1024
    overhead = len(v5.publish(lab.topic("x"), b"x" * 500)) - 500
    client.send(v5.publish(lab.topic("x"), b"x" * (1024 - overhead)))
    client.expect_alive()
    client.send(v5.publish(lab.topic("x"), b"x" * (1025 - overhead)))
    client.expect_refusal(Disconnect, 0x95)


@clause("MQTT-4.13.1-1", v=5)
def test_mqtt_4_13_1_1_the_size_is_refused_before_the_bytes_have_come(lab: Lab) -> None:
    client = lab.dial_tight()
    client.send(v5.connect(lab.name("a")))
    client.expect(Connack, reason=0)
    client.send("30 ff ff ff 7f")  # a PUBLISH of 256 MB, of which nothing follows
    client.expect_refusal(Disconnect, 0x95)


@clause("MQTT-4.13.1-1", v=5)
def test_mqtt_4_13_1_1_other_clients_feel_nothing(lab: Lab) -> None:
    topic = lab.topic("x")
    watcher, publisher = subscriber(lab, (topic, 1), suffix="w"), lab.client("p")
    for at, octets in enumerate(("00 00", "f0 00", "30 00", "ff ff ff ff ff", "36 03 00 01 61")):
        client = lab.client(f"bad{at}")
        client.send(octets)
        client.expect_refusal(Disconnect, 0x81, 0x82)
        published(publisher, topic, b"%d" % at)
        watcher.expect(Publish, payload=b"%d" % at)


@clause("MQTT-4.13.2-1", v=5)
def test_mqtt_4_13_2_1_the_close_follows_a_refusing_disconnect(lab: Lab) -> None:
    # expect_refusal waits for the close; here, with more coming in that is not to be answered.
    client = lab.client()
    client.send(v5.connect(lab.name("a")) + v5.pingreq() * 3)
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.13.2-1", v=5)
def test_mqtt_4_13_2_1_the_close_follows_a_refusing_connack(wire: Wire) -> None:
    wire.send(v5.connect("a", flags=0x03) + v5.pingreq() * 3)
    wire.expect_refusal(Connack, 0x81)


@clause("MQTT-4.13.2-1", v=5)
@pytest.mark.parametrize("reason", [0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x95, 0x99])
def test_mqtt_4_13_2_1_the_close_follows_the_clients_disconnect(lab: Lab, reason: int) -> None:
    client = lab.client()
    client.send(v5.disconnect(reason), v5.pingreq())
    client.expect_close()
