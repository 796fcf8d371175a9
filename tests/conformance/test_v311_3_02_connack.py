"""MQTT 3.1.1, 3.2 CONNACK: first, Session Present, and the close after a refusal."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v311
from tests.conformance.received import Connack, Pingresp, Publish
from tests.conformance.steps import lasting, published, returned
from tests.conformance.wire import Wire


@pytest.fixture
def older(lab: Lab) -> Wire:
    """An MQTT 3.1.1 connection on which nothing has been said."""
    return lab.dial(v311)


@clause("MQTT-3.2.0-1", v=311)
def test_mqtt_3_2_0_1_connack_comes_first(lab: Lab, older: Wire) -> None:
    older.send(v311.connect(lab.name("a")) + v311.pingreq())
    older.expect(Connack, reason=0)
    older.expect(Pingresp)


@clause("MQTT-3.2.0-1", v=311)
def test_mqtt_3_2_0_1_connack_comes_before_what_waited(lab: Lab) -> None:
    lasting(lab, (lab.topic("x"), 1), dialect=v311).disconnect()
    published(lab.client("p", dialect=v311), lab.topic("x"), b"queued")
    returned(lab, dialect=v311).expect(Publish, payload=b"queued")


@clause("MQTT-3.2.2-1", v=311)
def test_mqtt_3_2_2_1_clean_session_has_no_session_present(lab: Lab, older: Wire) -> None:
    lasting(lab, suffix="a", dialect=v311).drop()
    older.send(v311.connect(lab.name("a")))
    older.expect_bytes("20 02 00 00")


@clause("MQTT-3.2.2-2", v=311)
def test_mqtt_3_2_2_2_a_stored_session_is_present(lab: Lab, older: Wire) -> None:
    lasting(lab, suffix="a", dialect=v311).drop()
    older.send(v311.connect(lab.name("a"), clean=False))
    older.expect_bytes("20 02 01 00")


@clause("MQTT-3.2.2-3", v=311)
def test_mqtt_3_2_2_3_without_a_stored_session_none_is_present(lab: Lab, older: Wire) -> None:
    older.send(v311.connect(lab.name("a"), clean=False))
    older.expect_bytes("20 02 00 00")


@clause("MQTT-3.2.2-4", "MQTT-3.2.2-5", v=311)
@pytest.mark.parametrize(
    ("connect", "answer"),
    [(v311.connect("", clean=False), "20 02 00 02"), (v311.connect("a", level=6), "20 02 00 01")],
    ids=["identifier", "level"],
)
def test_mqtt_3_2_2_4_a_refusal_has_no_session_present_and_is_followed_by_the_close(
    older: Wire, connect: bytes, answer: str
) -> None:
    older.send(connect)
    older.expect_bytes(answer)
    older.expect_close()


@clause("MQTT-3.2.2-6", v=311)
@pytest.mark.parametrize(
    "connect",
    [v311.connect("a", flags=0x03), v311.connect("a", username=b"\xff"), v311.connect("a", password=b"p")],
    ids=["flag", "utf8", "password"],
)
def test_mqtt_3_2_2_6_where_no_return_code_fits_there_is_no_connack(older: Wire, connect: bytes) -> None:
    older.send(connect)
    older.expect_close()
