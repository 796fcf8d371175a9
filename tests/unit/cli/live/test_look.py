"""Rates between two looks: what grew, over the time that passed; nothing where there is nothing to compare with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bartizan.cli.live.look import Look, Snapshot, per_s

AT = datetime(2026, 11, 22, tzinfo=UTC)


def client(name: str, messages_in: int, *, since: str = "2026-11-22T00:00:00+00:00", **more: Any) -> dict[str, Any]:
    counters = {"messages_in": messages_in, "messages_out": 0, "bytes_in": 10 * messages_in, "bytes_out": 0}
    return {"client_id": name, "tenant": None, "connected_at": since, **counters, **more}


def denial(number: int, count: int) -> dict[str, Any]:
    return {"number": number, "count": count}


def look(clock_s: float, **more: Any) -> Look:
    given: dict[str, Any] = {"status": {}, "metrics": {}, "clients": ()}
    return Look(AT, clock_s, **given | more)


@pytest.mark.parametrize(
    ("before", "now", "over_s", "rate"),
    [
        (10.0, 30.0, 2.0, 10.0),
        (10.0, 10.0, 1.0, 0.0),
        # It began anew, as after a restart of the broker: what came before the look is not known.
        (30.0, 10.0, 1.0, 0.0),
        (None, 10.0, 1.0, 0.0),
        (10.0, 30.0, 0.0, 0.0),
    ],
)
def test_a_rate_is_what_a_counter_grew_by_over_the_time(before: float | None, now: float, over_s: float, rate: float):
    assert per_s(before, now, over_s) == rate


def test_counters_of_the_broker_become_rates():
    before = look(5.0, metrics={"bartizan_denied_total": 100.0, "bartizan_publish_received_total": 7.0})
    now = look(7.0, metrics={"bartizan_denied_total": 130.0, "bartizan_publish_received_total": 7.0})
    told = Snapshot.between(before, now)
    assert (told.over_s, told.rates["denied"], told.rates["publish_in"]) == (2.0, 15.0, 0.0)


def test_of_the_first_look_all_rates_are_nothing():
    told = Snapshot.between(None, look(5.0, metrics={"bartizan_denied_total": 100.0}, clients=[client("a", 9)]))
    assert set(told.rates.values()) == {0.0}
    assert told.clients[0]["messages_in_per_s"] == 0.0


def test_the_busiest_client_comes_first_and_equals_by_name():
    before = look(0.0, clients=[client("quiet-2", 5), client("quiet-1", 5), client("loud", 5)])
    now = look(2.0, clients=[client("quiet-2", 5), client("quiet-1", 5), client("loud", 25)])
    told = Snapshot.between(before, now).clients
    assert [one["client_id"] for one in told] == ["loud", "quiet-1", "quiet-2"]
    assert (told[0]["messages_in_per_s"], told[0]["bytes_in_per_s"]) == (10.0, 100.0)


def test_a_client_that_came_again_in_between_has_no_rate_yet():
    before = look(0.0, clients=[client("press", 5)])
    now = look(1.0, clients=[client("press", 9, since="2026-11-22T00:00:01+00:00")])
    assert Snapshot.between(before, now).clients[0]["messages_in_per_s"] == 0.0


def test_clients_of_two_tenants_with_one_name_are_two():
    before = look(0.0, clients=[client("press", 5, tenant="north"), client("press", 100, tenant="south")])
    now = look(1.0, clients=[client("press", 6, tenant="north"), client("press", 103, tenant="south")])
    rates = {one["tenant"]: one["messages_in_per_s"] for one in Snapshot.between(before, now).clients}
    assert rates == {"north": 1.0, "south": 3.0}


def test_a_denial_that_was_not_there_before_has_happened_since():
    before, now = look(0.0, denials=[denial(1, 10)]), look(2.0, denials=[denial(2, 4), denial(1, 12)])
    assert [(one["number"], one["per_s"]) for one in Snapshot.between(before, now).denials] == [(2, 2.0), (1, 1.0)]


def test_what_is_in_a_first_look_may_be_old():
    assert Snapshot.between(None, look(0.0, denials=[denial(1, 10)])).denials[0]["per_s"] == 0.0


def test_the_first_denial_of_all_has_a_rate():
    assert Snapshot.between(look(0.0), look(2.0, denials=[denial(1, 10)])).denials[0]["per_s"] == 5.0


def test_a_snapshot_as_json_says_what_it_is_not_told():
    told = Snapshot.between(None, look(0.0, missing={"denials": "your roles do not permit this"})).as_dict()
    assert told["not_told"] == {"denials": "your roles do not permit this"}
    assert (told["denials"], told["clients_are_all"]) == ([], True)
