"""What is banned is written in one way, and meets whom it names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.errors import InvalidValue
from bartizan.model.ban import CLIENT_ID_CHARS_MAX, BanOf, meets, new_ban, parse_banned

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("of", "text", "what"),
    [
        (BanOf.IDENTITY, "press-01", "press-01"),
        (BanOf.SERIAL, "0F:AA:01", "faa01"),
        (BanOf.SERIAL, "0x1f", "1f"),
        (BanOf.CLIENT_ID, "a/b #1", "a/b #1"),
        (BanOf.ADDRESS, "192.0.2.7", "192.0.2.7"),
        (BanOf.ADDRESS, "192.0.2.7/32", "192.0.2.7"),
        (BanOf.ADDRESS, "192.0.2.0/24", "192.0.2.0/24"),
        (BanOf.ADDRESS, "2001:DB8:0::/64", "2001:db8::/64"),
        (BanOf.ADDRESS, "::ffff:192.0.2.7", "192.0.2.7"),
        (BanOf.ADDRESS, "::ffff:192.0.2.0/120", "192.0.2.0/24"),
        (BanOf.ADDRESS, "::/0", "::/0"),
    ],
)
def test_the_same_is_written_in_one_way(of, text, what):
    assert parse_banned(of, text) == what
    assert parse_banned(of, what) == what


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (BanOf.IDENTITY, "a/b"),
        (BanOf.SERIAL, ""),
        (BanOf.SERIAL, "0"),
        (BanOf.SERIAL, "12g4"),
        (BanOf.SERIAL, "a" * 129),
        (BanOf.CLIENT_ID, ""),
        (BanOf.CLIENT_ID, "a\0b"),
        (BanOf.CLIENT_ID, "x" * (CLIENT_ID_CHARS_MAX + 1)),
        (BanOf.ADDRESS, "192.0.2.7/24"),
        (BanOf.ADDRESS, "192.0.2.7/33"),
        (BanOf.ADDRESS, "fe80::1%eth0"),
        (BanOf.ADDRESS, "mqtt.example.com"),
    ],
)
def test_what_is_none_is_refused(of, text):
    with pytest.raises(InvalidValue):
        parse_banned(of, text)


def test_a_ban_has_one_id_whatever_is_said_of_it_and_another_thing_has_another():
    ban = new_ban(BanOf.SERIAL, "1F", at=AT, reason="lost")
    assert ban.id == new_ban(BanOf.SERIAL, "01f", at=AT + timedelta(1), by="anna").id
    others = {
        new_ban(BanOf.SERIAL, "1f", at=AT, issuer="CN=Plant CA").id,
        new_ban(BanOf.CLIENT_ID, "1f", at=AT).id,
        new_ban(BanOf.IDENTITY, "1f", at=AT).id,
    }
    assert len(others | {ban.id}) == 4


def test_a_ban_ends_by_itself_and_not_before_it_begins():
    ban = new_ban(BanOf.IDENTITY, "press-01", at=AT, until=AT + timedelta(hours=1))
    assert [ban.holds(AT + timedelta(minutes=minutes)) for minutes in (0, 59, 60)] == [True, True, False]
    assert new_ban(BanOf.IDENTITY, "press-01", at=AT).holds(AT + timedelta(10_000))
    with pytest.raises(InvalidValue, match="ends after"):
        new_ban(BanOf.IDENTITY, "press-01", at=AT, until=AT)
    with pytest.raises(InvalidValue, match="issuer"):
        new_ban(BanOf.IDENTITY, "press-01", at=AT, issuer="CN=x")


def client(**other: Any) -> dict[str, Any]:
    told = {"identity": "press-01", "client_id": "press-01-a", "address": "192.0.2.7", "method": "certificate"}
    return told | other


@pytest.mark.parametrize(
    ("of", "what", "other", "is_met"),
    [
        (BanOf.IDENTITY, "press-01", {}, True),
        (BanOf.IDENTITY, "press", {}, False),
        (BanOf.CLIENT_ID, "press-01-a", {}, True),
        (BanOf.CLIENT_ID, "press-01", {}, False),
        (BanOf.ADDRESS, "192.0.2.0/24", {}, True),
        (BanOf.ADDRESS, "192.0.2.0/24", {"address": "::ffff:192.0.2.9"}, True),
        (BanOf.ADDRESS, "::/0", {}, False),
        (BanOf.ADDRESS, "2001:db8::/32", {"address": "2001:db8::7"}, True),
        (BanOf.ADDRESS, "192.0.2.0/24", {"address": "local"}, False),
        (BanOf.SERIAL, "1f", {}, True),
        (BanOf.SERIAL, "1f", {"method": "password"}, False),
        (BanOf.SERIAL, "1f", {"identity": "press-02"}, False),
    ],
)
def test_who_is_met_is_told(of, what, other, is_met):
    ban = new_ban(of, what, at=AT)
    assert meets(ban, client(**other), {"press-01": frozenset({"1f"})}) is is_met
