"""Octets of LDAP: those of RFC 4511's own rules, and no other is read."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.authn import ldap_wire as wire
from bartizan.config.ldap_names import parse_filter


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"), (65536, "0483010000")],
)
def test_lengths_are_written_in_the_shortest_form_and_read_back(size, head):
    octets = wire.element(wire.OCTETS, bytes(size))
    assert octets[: len(head) // 2].hex() == head
    assert list(wire.elements(octets)) == [(wire.OCTETS, bytes(size))]


@pytest.mark.parametrize(("value", "octets"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (256, "02020100")])
def test_numbers_are_never_negative(value, octets):
    assert wire.integer(value).hex() == octets


def test_a_bind_is_what_the_rfc_says():
    octets = wire.message(1, wire.bind("cn=x", b"pw"))
    assert octets.hex() == "3012020101" + "600d020103" + "0404" + b"cn=x".hex() + "8002" + b"pw".hex()


def test_starttls_is_what_the_rfc_says():
    assert wire.message(2, wire.start_tls()).hex() == "301d020102" + "7718" + "8016" + wire.START_TLS.hex()


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("(uid={user_name})", "a309" + "0403" + b"uid".hex() + "0402" + b"*)".hex()),
        ("(uid=*)", "87" + "03" + b"uid".hex()),
        ("(!(uid=*))", "a205" + "8703" + b"uid".hex()),
        ("(uid=a*{user_name}*b)", "a411" + "0403" + b"uid".hex() + "300a" + "800161" + "81022a29" + "820162"),
        ("(uid=*b)", "a40a" + "0403" + b"uid".hex() + "3003" + "820162"),
        ("(uid=a*)", "a40a" + "0403" + b"uid".hex() + "3003" + "800161"),
        ("(uid:2.5.13.5:={user_name})", "a913" + "8108" + b"2.5.13.5".hex() + "8203" + b"uid".hex() + "83022a29"),
    ],
)
def test_a_variable_is_a_value_whatever_it_holds(text, octets):
    found = wire.filter_octets(parse_filter(text, {"user_name"}), {"user_name": "*)"})
    assert found.hex() == octets


@given(st.binary(max_size=60))
def test_whatever_a_directory_sends_is_read_or_refused(octets):
    for read in (wire.read_message, wire.result_code, wire.read_entry):
        with suppress(wire.NotLdap):
            read(octets)
    with suppress(wire.NotLdap):
        list(wire.elements(octets))


def test_an_entry_is_read():
    values = wire.element(wire.SET, wire.element(wire.OCTETS, b"a"), wire.element(wire.OCTETS, b"b"))
    attribute = wire.element(wire.SEQUENCE, wire.element(wire.OCTETS, b"memberOf"), values)
    body = wire.element(wire.OCTETS, b"cn=x") + wire.element(wire.SEQUENCE, attribute)
    entry = wire.read_entry(body)
    assert (entry.dn, dict(entry.attributes)) == ("cn=x", {"memberof": (b"a", b"b")})


@pytest.mark.parametrize("octets", ["30", "3005", "30850000000001", "3080", "04820001"])
def test_a_length_beyond_the_message_is_refused(octets):
    with pytest.raises(wire.NotLdap):
        list(wire.elements(bytes.fromhex(octets)))


def test_no_secret_is_shown():
    assert "pw" not in repr(wire.Message(1, wire.BIND, b"pw"))
