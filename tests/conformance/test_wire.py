"""The harness itself: it reads what a good broker sends and refuses what a bad one would."""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from tests.conformance.packets import Will, v5, v311
from tests.conformance.properties import BadPacketError, Props, Reader, decode, encode
from tests.conformance.received import Connack, Disconnect, Pingresp, Publish, Suback, Unsuback, read
from tests.conformance.wire import Wire, tcp


@contextmanager
def broker_that(act: Callable[[socket.socket], None]) -> Generator[Wire]:
    """A connection to a broker that does only what the test says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                act(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        with Wire(tcp("127.0.0.1", listener.getsockname()[1])) as wire:
            yield wire
        thread.join()


def said(octets: str) -> Callable[[socket.socket], None]:
    return lambda peer: peer.sendall(bytes.fromhex(octets))


def quiet(peer: socket.socket) -> None:
    peer.recv(1)  # until the client leaves


def test_connect_is_these_bytes() -> None:
    will = Will(topic="w", payload=b"gone", qos=1, retain=True)
    packet = v5.connect("id", keep_alive=10, will=will, username="u", password=b"p")
    assert packet == bytes.fromhex(
        "10 1f 00 04 4d515454 05 ee 000a 00 0002 6964 00 0001 77 0004 676f6e65 0001 75 0001 70"
    )
    assert v311.connect("id") == bytes.fromhex("10 0e 0004 4d515454 04 02 0000 0002 6964")


@pytest.mark.parametrize(
    "props",
    [
        {"topic_alias": 7, "content_type": "text/plain", "correlation_data": b"\x00\xff"},
        {"user_property": [("a", "1"), ("b", "2"), ("a", "3")]},
        {"subscription_identifier": [1, 268435455], "message_expiry_interval": 4294967295},
    ],
)
def test_properties_read_back_as_written(props: dict[str, int]) -> None:
    assert decode(Reader(encode(props)), "publish") == props


@pytest.mark.parametrize(
    ("props", "complaint"),
    [
        ([("topic_alias", 1), ("topic_alias", 2)], "twice"),
        ({"receive_maximum": 1}, "does not belong"),
        (b"\x7f", "does not belong"),
        (b"\x03\x00\x02\xc3\x28", "1.5.4-1"),
        (b"\x03\x00\x01\x00", "1.5.4-2"),
        (b"\x23\x00", "expected"),
    ],
)
def test_bad_properties_are_refused(props: Props, complaint: str) -> None:
    with pytest.raises(BadPacketError, match=complaint):
        decode(Reader(encode(props)), "publish")


@pytest.mark.parametrize(
    ("octets", "level"),
    [
        ("20 02 00", 5),  # CONNACK without properties
        ("20 02 00 00", 5),
        ("20 02 00 00 00", 4),
        ("20 02 02 00 00", 5),  # reserved flag
        ("20 02 01 80 00", 5),  # Session Present when refusing
        ("20 02 00 13 00", 5),  # no such Reason Code
        ("36 00 01 61 00 01 00", 5),  # QoS 3
        ("38 00 01 61 00", 5),  # DUP at QoS 0
        ("30 00 01 23 00", 5),  # "#" as Topic Name
        ("30 00 00 00", 5),  # no Topic Name and no alias
        ("32 00 01 61 00 00 00", 5),  # Packet Identifier 0
        ("62 00 01 10", 5),  # PUBREL may not say "no matching subscribers"
        ("60 00 01", 5),  # PUBREL flags
        ("d0 00", 5),  # PINGRESP with a body
        ("e0 8e 05 11 00 00 00 01", 5),  # Session Expiry Interval from a server
        ("e0", 4),  # a 3.1.1 server has no DISCONNECT
        ("b0 00 01 00", 4),  # nor Reason Codes in UNSUBACK
        ("10", 5),
    ],
)
def test_bad_packets_are_refused(octets: str, level: int) -> None:
    raw = bytes.fromhex(octets)
    with pytest.raises(BadPacketError):
        read(raw[0], raw[1:], level=level, size=0)


def test_good_packets_are_read() -> None:
    assert read(0x20, bytes.fromhex("01 00 03 21 0014"), level=5, size=0) == Connack(
        session_present=True, reason=0, properties={"receive_maximum": 20}, size=0
    )
    publish = read(0x3D, bytes.fromhex("0001 61 0007 78"), level=4, size=0)
    assert publish == Publish(topic="a", payload=b"x", qos=2, retain=True, dup=True, pid=7, size=0)
    assert read(0x90, bytes.fromhex("0001 0280"), level=4, size=0) == Suback(pid=1, reasons=(2, 0x80), size=0)
    assert read(0xB0, bytes.fromhex("0001"), level=4, size=0) == Unsuback(pid=1, reasons=(), size=0)
    assert read(0xE0, b"", level=5, size=0) == Disconnect(reason=0, size=0)


def test_packets_come_one_by_one_and_then_the_close() -> None:
    with broker_that(said("d0 00 e0 01 8b")) as wire:
        wire.expect(Pingresp)
        wire.expect(Disconnect, reason=0x8B)
        wire.expect_close()


def test_wrong_packets_fields_and_bytes_fail() -> None:
    with broker_that(said("d0 00 e0 01 8b e0 01 8b")) as wire:
        with pytest.raises(AssertionError, match="Connack expected"):
            wire.expect(Connack)
        with pytest.raises(AssertionError, match="reason: 142 expected, got 139"):
            wire.expect(Disconnect, reason=0x8E)
        with pytest.raises(AssertionError, match="got 'e0 01 8b'"):
            wire.expect_bytes("e0 .. 8e")


def test_silence_is_neither_packet_nor_close() -> None:
    with broker_that(quiet) as wire:
        wire.expect_nothing(for_s=0.05)
        with pytest.raises(AssertionError, match="not closed within"):
            wire.expect_close(within_s=0.05)
        with pytest.raises(AssertionError, match="no packet within"):
            wire.expect(Pingresp, within_s=0.05)
        with pytest.raises(AssertionError, match="neither refused nor closed"):
            wire.expect_refusal(Disconnect, 0x82, within_s=0.05)


def test_bytes_or_a_close_are_not_nothing() -> None:
    with broker_that(said("d0 00")) as wire:
        with pytest.raises(AssertionError, match="nothing expected, got d0 00"):
            wire.expect_nothing()
        wire.expect(Pingresp)
        with pytest.raises(AssertionError, match="the connection was closed"):
            wire.expect_nothing()


def test_half_a_packet_is_not_silence() -> None:
    with (
        broker_that(said("20 03 00")) as wire,
        pytest.raises(AssertionError, match="half a packet: 20 03 00"),
    ):
        wire.expect(Connack)


def test_a_refusal_has_the_right_kind_and_reason_from_our_own_broker() -> None:
    with broker_that(said("e0 01 82")) as wire:
        assert wire.expect_refusal(Disconnect, 0x81, 0x82) == 0x82
    with broker_that(said("e0 01 81")) as wire, pytest.raises(AssertionError, match="refused by"):
        wire.expect_refusal(Disconnect, 0x82)
    with broker_that(said("")) as wire, pytest.raises(AssertionError, match="closed without"):
        wire.expect_refusal(Disconnect, 0x82)
    with broker_that(said("")) as wire:
        assert wire.expect_refusal(Disconnect, 0x82, silent=True) is None


def test_a_foreign_broker_may_refuse_in_other_words_but_not_by_accepting() -> None:
    with broker_that(said("20 03 00 84 00")) as wire:
        wire.strict = False
        assert wire.expect_refusal(Connack, 0x81) == 0x84
    with broker_that(said("20 03 00 00 00")) as wire:
        wire.strict = False
        with pytest.raises(AssertionError, match="refused by"):
            wire.expect_refusal(Connack, 0x81)
