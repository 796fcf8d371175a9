"""Limits on what one packet may hold: refused with the documented code, told, counted."""

from collections.abc import Iterator

import pytest

from tests.conformance.packets import Dialect, Will, frame, v5, v311
from tests.conformance.properties import sized, variable
from tests.conformance.received import Connack, Disconnect, Puback, Pubrec, Suback
from tests.conformance.wire import Wire
from tests.security.party import OPEN, PACKET_TOO_LARGE, QUOTA_EXCEEDED, Party, listener, party

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
NAME_INVALID, FILTER_INVALID = 0x90, 0x8F
PROPERTIES = {"user_property": ("k", "v" * 80)}


@pytest.fixture(scope="module")
def _lab() -> Iterator[Party]:
    settings = [
        listener("connect", limits={"connect_bytes_max": 256}),
        listener("packet", limits={"packet_bytes_max": 512, "property_bytes_max": 512}),
        listener("property", limits={"property_bytes_max": 64}),
        listener("levels", limits={"topic_levels_max": 3}),
        listener("bytes", limits={"topic_bytes_max": 12}),
        listener("subscriptions", limits={"subscriptions_per_session_max": 2}),
        listener("alias", limits={"topic_alias_max": 2}),
        listener("receive", limits={"receive_max": 2}),
    ]
    with party(OPEN, *settings) as running:
        yield running


@pytest.fixture
def lab(_lab: Party) -> Party:
    return _lab


class Counted:
    """A limit's counter, which must have moved when it ends."""

    def __init__(self, lab: Party, limit: str) -> None:
        self._lab, self._limit = lab, limit

    def __enter__(self) -> None:
        self._before = self._lab.limit_count(self._limit)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            assert self._lab.wait_for("limit_met", limit=self._limit)["effect"]
            assert self._lab.limit_count(self._limit) > self._before


def client(lab: Party, name: str, dialect: Dialect = v5, client_id: str = "c") -> Wire:
    wire = lab.dial(listener=name, tls=False, dialect=dialect)
    wire.send(dialect.connect(f"{name}{client_id}{dialect.level}"))
    wire.expect(Connack, reason=0)
    return wire


@pytest.mark.parametrize("first", [b"\x10" + variable(257), b"\x10" + variable(268_435_455), v5.connect("x" * 300)])
def test_a_connect_that_is_too_long_is_closed_when_its_header_is_read(lab: Party, first: bytes):
    with Counted(lab, "connect_bytes_max"):
        wire = lab.dial(listener="connect", tls=False)
        wire.send(first)
        wire.expect_close()


def test_connect_bytes_max_does_not_bound_what_follows(lab: Party):
    wire = client(lab, "connect")
    wire.send(v5.publish("a", b"x" * 10_000, qos=1, pid=1))
    wire.expect(Puback)


@DIALECTS
def test_a_packet_that_is_too_long_is_refused_when_its_header_is_read(lab: Party, dialect: Dialect):
    with Counted(lab, "packet_bytes_max"):
        wire = client(lab, "packet", dialect)
        wire.send(b"\x30" + variable(511))
        if dialect is v5:
            wire.expect_refusal(Disconnect, PACKET_TOO_LARGE)
        else:
            wire.expect_close()


def test_a_packet_of_exactly_the_bound_is_taken(lab: Party):
    wire = client(lab, "packet")
    head = sized("a") + b"\x00\x01" + b"\x00"
    body = head + b"x" * (512 - 3 - len(head))
    packet = frame(0x32, body)
    assert len(packet) == 512
    wire.send(packet)
    wire.expect(Puback)


WITH_PROPERTIES = {
    "publish": v5.publish("a", b"x", props=PROPERTIES),
    "subscribe": v5.subscribe(1, "a", props=PROPERTIES),
    "unsubscribe": v5.unsubscribe(1, "a", props=PROPERTIES),
    "disconnect": v5.disconnect(0, props=PROPERTIES),
    "puback": v5.puback(1, 0, props=PROPERTIES),
}


@pytest.mark.parametrize("packet", WITH_PROPERTIES.values(), ids=list(WITH_PROPERTIES))
def test_too_many_octets_of_properties_end_the_connection(lab: Party, packet: bytes):
    with Counted(lab, "property_bytes_max"):
        wire = client(lab, "property")
        wire.send(packet)
        wire.expect_refusal(Disconnect, PACKET_TOO_LARGE)


@pytest.mark.parametrize("will", [None, Will(topic="a", props=PROPERTIES)], ids=["connect", "will"])
def test_too_many_octets_of_properties_in_connect_refuse_it(lab: Party, will: Will | None):
    with Counted(lab, "property_bytes_max"):
        wire = lab.dial(listener="property", tls=False)
        wire.send(v5.connect("p", will=will, props=None if will else PROPERTIES))
        wire.expect_refusal(Connack, PACKET_TOO_LARGE)


TOO_MUCH = [("levels", "topic_levels_max", "a/b/c/d"), ("bytes", "topic_bytes_max", "a" * 13)]


@pytest.mark.parametrize(("name", "limit", "topic"), TOO_MUCH, ids=["levels", "bytes"])
@DIALECTS
def test_a_topic_over_its_bound_is_refused(lab: Party, name: str, limit: str, topic: str, dialect: Dialect):
    with Counted(lab, limit):
        wire = client(lab, name, dialect)
        wire.send(dialect.subscribe(1, topic, f"$share/group-name/{topic}", "$share/group-name/ok"))
        wire.expect(Suback, reasons=(FILTER_INVALID,) * 2 + (0,) if dialect is v5 else (0x80, 0x80, 0))
    with Counted(lab, limit):
        wire.send(dialect.publish(topic, b"x", qos=1, pid=1))
        if dialect is v5:
            wire.expect(Puback, reason=NAME_INVALID)
            wire.send(v5.publish(topic, b"x", qos=2, pid=2))
            wire.expect(Pubrec, reason=NAME_INVALID)
        else:
            wire.expect_close()
    wire = lab.dial(listener=name, tls=False, dialect=dialect)
    wire.send(dialect.connect("w", will=Will(topic=topic)))
    wire.expect_refusal(Connack, NAME_INVALID, silent=dialect is v311)


@DIALECTS
def test_subscriptions_have_their_number_and_one_may_be_replaced(lab: Party, dialect: Dialect):
    with Counted(lab, "subscriptions_per_session_max"):
        wire = client(lab, "subscriptions", dialect)
        wire.send(dialect.subscribe(1, "a", "$share/g/b", "c"))
        wire.expect(Suback, reasons=(0, 0, QUOTA_EXCEEDED if dialect is v5 else 0x80))
    wire.send(dialect.subscribe(2, ("a", 1)))
    wire.expect(Suback, reasons=(1,))


def test_a_topic_alias_above_the_bound_ends_the_connection(lab: Party):
    with Counted(lab, "topic_alias_max"):
        wire = client(lab, "alias")
        wire.send(v5.publish("a", b"x", props={"topic_alias": 2}))
        wire.send(v5.publish("a", b"x", props={"topic_alias": 3}))
        wire.expect_refusal(Disconnect, 0x94)


def test_more_under_way_than_receive_maximum_ends_the_connection(lab: Party):
    with Counted(lab, "receive_max"):
        wire = client(lab, "receive")
        for pid in (1, 2):
            wire.send(v5.publish("a", b"x", qos=2, pid=pid))
            wire.expect(Pubrec)
        wire.send(v5.publish("a", b"x", qos=2, pid=3))
        wire.expect_refusal(Disconnect, 0x93)
