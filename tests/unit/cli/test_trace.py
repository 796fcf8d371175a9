"""A traced packet as text, and as a file for Wireshark."""

import io

from bartizan.cli.pcapng import PcapNg
from bartizan.cli.trace_lines import text
from tests.pcapng import Pcapng, read

AT = {"at_ms": 1_763_770_809_311, "connection": "192.0.2.7:50312"}


def test_a_packet_is_one_line_that_cannot_move_the_cursor():
    packet = AT | {
        "direction": "in",
        "type": "PUBLISH",
        "bytes": 40,
        "topic": "plant/\x1b[2J\n",
        "qos": 1,
        "retain": True,
        "dup": False,
        "packet_id": 7,
        "payload_bytes": 3,
        "payload": "a\x07b",
        "properties": {"topic_alias": 3, "user_properties": [["line", "4\x1b"]]},
    }
    line = text(packet)
    assert line.isprintable()
    assert line.startswith("00:20:09.311 192.0.2.7:50312 -> PUBLISH (40 B) plant/\\x1b[2J\\n id=7 qos=1 retain")
    assert "topic_alias=3" in line
    assert "payload=3B 'a\\x07b'" in line


def test_a_will_filters_reasons_and_gaps_are_told():
    will = {"topic": "gone", "qos": 0, "retain": False, "payload_bytes": 3}
    connect = AT | {"direction": "in", "type": "CONNECT", "bytes": 9, "password": "hidden", "will": will}
    assert text(connect).endswith("CONNECT (9 B) password=hidden will=[gone qos=0 payload=3B]")
    options = {"qos": 2, "no_local": True, "retain_as_published": False, "retain_handling": 1}
    subscribe = AT | {"direction": "in", "type": "SUBSCRIBE", "packet_id": 1, "filters": [{"filter": "a/#", **options}]}
    assert text(subscribe).endswith("SUBSCRIBE id=1 [a/# qos=2 no_local retain_handling=1]")
    suback = AT | {"direction": "out", "type": "SUBACK", "reasons": [{"code": 2, "name": "Granted QoS 2"}, {"code": 9}]}
    assert text(suback).endswith("<- SUBACK Granted QoS 2 (0x02) unknown (0x09)")
    assert text({"at_ms": 0, "lost": 12}) == "... 12 packets more than could be shown ..."
    assert text(AT | {"type": "closed"}).endswith("-- closed")
    assert text(AT | {"direction": "in", "type": "CONNECT", "bytes": 4, "error": "too short"}).endswith(
        "UNREADABLE: too short"
    )


def written(connection: str, *packets: tuple[bytes, int, bool]) -> Pcapng:
    to = io.BytesIO()
    writer = PcapNg(to, "bartizan trace press-01")
    for octets, length, from_client in packets:
        writer.packet(connection, 1_763_770_809_311, octets, length, from_client=from_client)
    writer.closed(connection, 1_763_770_809_312)
    return read(to.getvalue())


def test_packets_stand_in_a_stream_between_the_client_and_a_server_of_documentation():
    found = written("192.0.2.7:50312", (b"\xc0\x00", 2, True), (b"\xd0\x00", 2, False))
    assert found.interface_options[2] == b"bartizan trace press-01"
    (stream,) = found.streams()
    assert (stream.client, stream.server) == (("192.0.2.7", 50_312), ("192.0.2.1", 1883))
    assert list(stream.packets()) == [("client", b"\xc0\x00"), ("server", b"\xd0\x00")]
    assert {segment.at for segment in found.segments} == {1_763_770_809_311, 1_763_770_809_312}


def test_ipv6_and_unix_sockets_have_streams_too():
    (stream,) = written("[2001:db8::7]:50312", (b"\xc0\x00", 2, True)).streams()
    assert (stream.client[0], stream.server[0]) == ("2001:db8::7", "2001:db8::1")
    (stream,) = written("local", (b"\xc0\x00", 2, True)).streams()
    assert (stream.client[0], list(stream.packets())) == ("127.0.0.1", [("client", b"\xc0\x00")])


def test_what_was_left_out_is_missing_at_the_end_and_said():
    # A PUBLISH of 100,000 octets of which the first 40,000 were kept.
    head = b"\x30\x9d\x8d\x06" + bytes(39_996)
    length = 4 + 0x1D + (0x0D << 7) + (0x06 << 14)
    found = written("192.0.2.7:50312", (head, length, True))
    carried = [segment for segment in found.segments if segment.size > 0]
    assert sum(segment.size for segment in carried) == length
    assert b"".join(segment.octets for segment in carried) == head + bytes(length - 40_000)
    assert f"{length - 40_000} octets at the end were left out".encode() in carried[-1].options[1]
    (stream,) = found.streams()
    assert [len(octets) for _, octets in stream.packets()] == [length]


def test_a_payload_that_was_left_out_is_missing_as_if_the_capture_had_been_short():
    found = written("192.0.2.7:50312", (b"\x30\x08\x00\x01a", 10, True))
    (segment,) = [segment for segment in found.segments if segment.size > 0]
    assert (segment.octets, segment.size) == (b"\x30\x08\x00\x01a", 10)
    assert segment.options[1] == b"5 octets at the end were left out by bartizan trace"


def test_a_port_that_is_used_again_is_another_stream():
    to = io.BytesIO()
    writer = PcapNg(to, "x")
    for _ in range(2):
        writer.packet("192.0.2.7:50312", 0, b"\xc0\x00", 2, from_client=True)
        writer.closed("192.0.2.7:50312", 0)
    assert [list(stream.packets()) for stream in read(to.getvalue()).streams()] == [[("client", b"\xc0\x00")]] * 2
