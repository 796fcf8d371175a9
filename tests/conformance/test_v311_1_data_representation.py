"""MQTT 3.1.1, chapter 1: text that is not UTF-8 ends the connection; byte order marks stay."""

from collections.abc import Callable

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, v311
from tests.conformance.received import Publish
from tests.conformance.steps import published, subscriber

ILL_FORMED = ["ff", "c0 af", "c0 80", "e0 80 af", "ed a0 80", "ed bf bf", "f4 90 80 80", "e2 82", "61 80"]
CARRIERS: dict[str, Callable[[bytes], bytes]] = {
    "topic_name": lambda text: v311.publish(text, b"x"),
    "topic_filter": lambda text: v311.subscribe(1, text),
    "filter_to_unsubscribe": lambda text: v311.unsubscribe(1, text),
}
CONNECTS: dict[str, Callable[[bytes], bytes]] = {
    "will_topic": lambda text: v311.connect("a", will=Will(topic=text)),
    "user_name": lambda text: v311.connect("a", username=text),
}


def ends(lab: Lab, packet: bytes) -> None:
    client = lab.client(dialect=v311)
    client.send(packet)
    client.expect_close()


@clause("MQTT-1.5.3-1", v=311)
@pytest.mark.parametrize("octets", ILL_FORMED)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_mqtt_1_5_3_1_ill_formed_utf8_ends_the_connection(lab: Lab, carrier: str, octets: str) -> None:
    ends(lab, CARRIERS[carrier](bytes.fromhex(octets)))


@clause("MQTT-1.5.3-1", v=311)
@pytest.mark.parametrize("octets", ILL_FORMED)
@pytest.mark.parametrize("carrier", CONNECTS)
def test_mqtt_1_5_3_1_so_it_does_in_connect(lab: Lab, carrier: str, octets: str) -> None:
    wire = lab.dial(v311)
    wire.send(CONNECTS[carrier](bytes.fromhex(octets)))
    wire.expect_close()


@clause("MQTT-1.5.3-1", v=311)
@pytest.mark.parametrize(
    "text", ["\u00e9", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010fffd"]
)
def test_mqtt_1_5_3_1_every_length_of_utf8_is_text(lab: Lab, text: str) -> None:
    client = subscriber(lab, lab.topic(text), dialect=v311)
    published(lab.client("p", dialect=v311), lab.topic(text), b"x")
    client.expect(Publish, topic=lab.topic(text))


@clause("MQTT-1.5.3-2", v=311)
@pytest.mark.parametrize("octets", [b"\x00", b"a\x00", b"\x00a", b"a\x00b"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_mqtt_1_5_3_2_a_null_character_ends_the_connection(lab: Lab, carrier: str, octets: bytes) -> None:
    ends(lab, CARRIERS[carrier](octets))


@clause("MQTT-1.5.3-3", v=311)
@pytest.mark.parametrize("mark", ["\ufeff{}", "{}/\ufeff", "{}/a\ufeffb"])
def test_mqtt_1_5_3_3_a_byte_order_mark_is_a_character_of_the_topic(lab: Lab, mark: str) -> None:
    marked = mark.format(lab.name())
    without = subscriber(lab, marked.replace("\ufeff", ""), suffix="w", dialect=v311)
    client = subscriber(lab, marked, dialect=v311)
    published(lab.client("p", dialect=v311), marked, b"x")
    client.expect(Publish, topic=marked)
    without.expect_alive()
