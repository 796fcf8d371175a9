"""`$SYS/broker/...`: Mosquitto's names, and averages that behave as its own."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bartizan.broker.status import LOADS, SPANS, Loads, numbers, status_topics

COUNTERS = {"clients_connected": 3, "sessions": 5, "queued_messages": 2, "retained_messages": 7}


def test_the_names_that_dashboards_know_are_there():
    topics = status_topics(COUNTERS, Loads.begin({}, 0.0), 61, "1.2.3")
    assert topics["$SYS/broker/version"] == "bartizan 1.2.3"
    assert topics["$SYS/broker/uptime"] == "61 seconds"
    assert topics["$SYS/broker/clients/connected"] == "3"
    assert topics["$SYS/broker/clients/total"] == "5"
    assert topics["$SYS/broker/messages/stored"] == "9"
    assert topics["$SYS/broker/retained messages/count"] == "7"
    assert topics["$SYS/broker/load/messages/received/1min"] == "0.00"


def test_a_steady_rate_becomes_every_average_and_is_per_minute():
    loads = Loads.begin({"messages_received": 0}, 0.0)
    for tick in range(1, 2_000):
        loads = loads.advance({"messages_received": 100 * tick}, 10.0 * tick)
    for span in SPANS:
        assert math.isclose(loads.averages[f"load/messages/received/{span}"], 600.0, rel_tol=1e-6)


def test_the_short_average_moves_first():
    loads = Loads.begin({}, 0.0).advance({"publish_sent": 100}, 10.0)
    one, five, fifteen = (loads.averages[f"load/publish/sent/{span}"] for span in ("1min", "5min", "15min"))
    assert 600 > one > five > fifteen > 0


def test_no_time_changes_nothing():
    loads = Loads.begin({}, 5.0)
    assert loads.advance({"bytes_sent": 10}, 5.0) is loads


def test_the_most_clients_are_remembered():
    loads = Loads.begin({}, 0.0).advance({"clients_connected": 9}, 1.0).advance({"clients_connected": 2}, 2.0)
    assert numbers({"clients_connected": 2}, loads, 2)["clients/maximum"] == 9


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0.01, 3_600)), max_size=20))
def test_averages_stay_between_zero_and_the_highest_rate(steps):
    loads, total, at, highest = Loads.begin({}, 0.0), 0, 0.0, 0.0
    for more, elapsed in steps:
        total, at = total + more, at + elapsed
        highest = max(highest, more * 60 / (at - loads.at_s))
        loads = loads.advance(dict.fromkeys(LOADS.values(), total), at)
    assert all(-1e-6 <= average <= highest * (1 + 1e-9) + 1e-6 for average in loads.averages.values())
