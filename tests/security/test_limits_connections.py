"""Limits on connections: how many, how fast, and how long one may take to say who it is."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack
from tests.conformance.wire import Wire
from tests.security.party import HOST, OPEN, QUOTA_EXCEEDED, Party, eventually, listener, party

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
ELSEWHERE = "127.0.0.2"
TIMEOUT_S = 0.6
SLACK_S = 30.0
"""A machine that is busy is late; who sends an octet at a time would take longer still."""


@pytest.fixture(scope="module")
def _lab() -> Iterator[Party]:
    settings = [
        listener("in-all", limits={"connections_max": 2}),
        listener("prefix", limits={"connections_per_prefix_max": 2}),
        listener("rate", limits={"connection_rate_per_prefix_per_s": 1, "connection_burst_per_prefix": 3}),
        listener("slow", limits={"connect_timeout_s": TIMEOUT_S}),
        listener("upgrade", protocol="websocket", limits={"handshake_timeout_s": TIMEOUT_S}),
        "listeners.mqtt.limits.handshake_timeout_s=0.6",
        "listeners.mqtt.limits.connections_per_identity_max=2",
    ]
    with party(OPEN, *settings) as running:
        running.enrol("press-01")
        running.enrol("press-02")
        yield running


@pytest.fixture
def lab(_lab: Party) -> Party:
    return _lab


def dial_from(lab: Party, address: str, name: str) -> Wire:
    """A connection from another address of the loopback network."""
    stream = socket.create_connection((HOST, lab.port(name)), timeout=5, source_address=(address, 0))
    return Wire(lab.keep(stream))


def lets_in(wire: Wire) -> bool:
    wire.send(v5.connect(""))
    try:
        wire.expect(Connack, reason=0)
    except AssertionError:
        wire.expect_close()
        return False
    return True


def told(lab: Party, limit: str, before: float) -> None:
    """The event is in the log, and the counter has moved."""
    event = lab.wait_for("limit_met", limit=limit)
    assert event["address"].startswith("127.0.0.")
    assert lab.limit_count(limit) > before


@pytest.mark.parametrize(("name", "limit"), [("in-all", "connections_max"), ("prefix", "connections_per_prefix_max")])
def test_one_connection_too_many_is_closed_before_a_byte_and_places_come_back(lab: Party, name: str, limit: str):
    before = lab.limit_count(limit)
    first, second = (lab.dial(listener=name, tls=False) for _ in range(2))
    assert lets_in(first)
    assert lets_in(second)
    lab.dial(listener=name, tls=False).expect_close()
    told(lab, limit, before)
    assert lets_in(dial_from(lab, ELSEWHERE, name)) is (limit != "connections_max")
    first.drop()
    eventually(lambda: lets_in(lab.dial(listener=name, tls=False)))


def test_connections_that_come_too_fast_are_closed_and_another_prefix_is_not(lab: Party):
    before = lab.limit_count("connection_rate_per_prefix_per_s")
    outcomes = [lets_in(lab.dial(listener="rate", tls=False)) for _ in range(6)]
    assert outcomes[:3] == [True, True, True]
    assert False in outcomes
    told(lab, "connection_rate_per_prefix_per_s", before)
    assert lets_in(dial_from(lab, ELSEWHERE, "rate"))
    time.sleep(1.1)
    assert lets_in(lab.dial(listener="rate", tls=False))


@DIALECTS
def test_one_identity_has_its_number_of_connections(lab: Party, dialect: Dialect):
    before = lab.limit_count("connections_per_identity_max")
    wires = [lab.connect("press-02", client_id=f"press-02-{number}", dialect=dialect) for number in range(2)]
    refused = QUOTA_EXCEEDED if dialect is v5 else 0x03
    third = lab.connect("press-02", client_id="press-02-2", dialect=dialect, expect=refused)
    third.expect_close()
    told(lab, "connections_per_identity_max", before)
    # Taking one's own Session over is no further connection.
    again = lab.connect("press-02", client_id="press-02-1", dialect=dialect)
    wires[0].drop()
    eventually(lambda: lab.events("disconnected", client_id="press-02-0"))
    lab.connect("press-02", client_id="press-02-3", dialect=dialect).disconnect()
    again.disconnect()


def seconds_until_closed(stream: socket.socket, octets: bytes, pause_s: float) -> float:
    """Sends byte by byte, as slowloris does, until the broker has enough."""
    began = time.monotonic()
    stream.settimeout(pause_s)
    for octet in [*octets, None]:
        try:
            if octet is not None:
                stream.sendall(bytes([octet]))
            if stream.recv(4096) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
        if time.monotonic() - began > TIMEOUT_S + SLACK_S:
            raise AssertionError("still open")
    else:
        raise AssertionError("still open, and all was sent")
    return time.monotonic() - began


def client_hello() -> bytes:
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    conversation = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        conversation.do_handshake()
    return outgoing.read()


HALF_DONE: list[tuple[str, str, Callable[[], bytes]]] = [
    ("mqtt", "handshake_timeout_s", client_hello),
    ("mqtt", "handshake_timeout_s", lambda: b""),
    ("upgrade", "handshake_timeout_s", lambda: b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 4000),
    ("upgrade", "handshake_timeout_s", lambda: b""),
    ("slow", "connect_timeout_s", lambda: v5.connect("x" * 4000)),
    ("slow", "connect_timeout_s", lambda: b""),
]


@pytest.mark.parametrize(
    ("name", "limit", "octets"), HALF_DONE, ids=["tls", "tls-mute", "ws", "ws-mute", "connect", "connect-mute"]
)
def test_who_takes_too_long_is_closed_however_busy_it_looks(
    lab: Party, name: str, limit: str, octets: Callable[[], bytes]
):
    before, sent = lab.limit_count(limit), octets()
    stream = lab.keep(lab.socket(name))
    took_s = seconds_until_closed(stream, sent, 0.02 if sent else TIMEOUT_S + SLACK_S)
    assert took_s >= TIMEOUT_S - 0.05
    assert lab.limit_count(limit) == before + 1
    eventually(lambda: limit in lab.text())


def test_the_time_is_counted_from_accept_not_from_the_last_byte(lab: Party):
    wire = lab.dial(lab.names["press-01"])
    time.sleep(0.2)
    wire.send(v5.connect("press-01"))
    wire.expect(Connack, reason=0)
    time.sleep(TIMEOUT_S + 0.2)
    wire.expect_alive()
