"""What is shown: short, in one line, and nothing in it that moves the cursor."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.cli.duration import ago
from bartizan.cli.live.look import Look, Snapshot
from bartizan.cli.live.rows import List, above, amount, bars, clock, cut, fits, in_full, key, plain, title

SMALL = 80


def client(name: str = "press-01", **more: Any) -> dict[str, Any]:
    rates = dict.fromkeys(("messages_in_per_s", "messages_out_per_s", "bytes_in_per_s", "bytes_out_per_s"), 0.0)
    numbers = dict.fromkeys(
        ("queued", "subscriptions", "inflight", "messages_in", "messages_out", "bytes_in", "bytes_out", "port"), 0
    )
    texts = {
        "identity": "press-01",
        "address": "10.0.0.7",
        "listener": "mqtts",
        "method": "certificate",
        "version": "5.0",
    }
    since = {"connected_at": datetime.now(UTC).isoformat(), "tenant": None, "roles": ["press"]}
    return {"client_id": name, **rates, **numbers, **texts, **since} | more


def snapshot(**more: Any) -> Snapshot:
    status = {"version": "0.1.0", "state": "ready", "uptime_s": 93_600, "policy": "43b88e8a7395ffff", "epoch": 12}
    metrics = {"bartizan_clients_connected": 12_345.0, "bartizan_queued_messages": 123_456.0}
    return Snapshot.between(None, Look(datetime.now(UTC), 0.0, status, metrics, more.pop("clients", ()), **more))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.4, "0.4"),
        (3.0, "3"),
        (12.34, "12"),
        (999.0, "999"),
        (1_234.0, "1.2k"),
        (2.5e6, "2.5M"),
        (7e9, "7.0G"),
    ],
)
def test_a_number_takes_few_characters(value: float, text: str):
    assert amount(value) == text


def test_bars_are_as_high_as_their_value_beside_the_highest():
    assert bars([0.0, 1.0, 4.0, 8.0]) == "▁▂▅█"
    assert bars([0.0, 0.0]) == "▁▁"
    assert bars([]) == ""


def test_the_lines_above_fit_a_small_terminal():
    rates = dict.fromkeys(("publish_in", "publish_out"), [1.0] * 12)
    lines = list(above(snapshot(), rates))
    assert len(lines) == 4
    assert max(map(len, lines)) <= SMALL - 2
    assert "ready, up 26 h" in lines[0]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\u202eb", "x" * 65_535])
def test_what_a_peer_chose_stays_on_its_line(name: str):
    lines = [*plain(snapshot(clients=[client(name)])), in_full(List.CLIENTS, client(name)), cut(name)]
    assert all(line.isprintable() for line in lines)
    assert len(cut(name)) <= 28


def test_a_text_that_is_anywhere_in_a_row_finds_it():
    assert fits(List.CLIENTS, client("press-01", identity="Chicago-7"), "chicago")
    assert fits(List.CLIENTS, client(), "")
    assert not fits(List.CLIENTS, client(), "press-02")


def test_clients_of_two_tenants_are_two_rows():
    assert key(List.CLIENTS, client(tenant="north")) != key(List.CLIENTS, client(tenant="south"))


def test_a_list_says_how_many_there_are_not_how_many_are_shown():
    assert title(snapshot(clients=[client()]), List.CLIENTS) == "Clients (12345)"
    assert title(snapshot(), List.FINDINGS) == "Findings (0)"


def test_times_say_the_day_where_it_is_another():
    now = datetime.now(UTC)
    assert clock(now.isoformat()) == f"{now:%H:%M:%S}"
    earlier = now - timedelta(days=2)
    assert clock(earlier.isoformat()) == f"{earlier:%m-%d %H:%M}"
    assert ago((now - timedelta(hours=30)).isoformat()) == "30 h"


def test_what_is_not_told_is_said():
    assert "denials: not for you" in list(plain(snapshot(missing={"denials": "not for you"})))


def test_where_numbers_are_not_told_the_clients_that_are_seen_are_counted():
    assert title(snapshot(clients=[client()], missing={"metrics": "not for you"}), List.CLIENTS) == "Clients (1)"
