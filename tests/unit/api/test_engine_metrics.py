"""The engine's figures by their metrics: one number, one of several, a bucket of a histogram."""

import pytest

from bartizan.api.engine_metrics import told_by_engine
from bartizan.broker.figures import OTHER, ROLES_MAX


def told(**figures):
    named = {name.replace("__", "/"): value for name, value in figures.items()}
    return {metric.name: metric for metric in told_by_engine(named)}


def samples(metric):
    return {(sample.name, *sample.labels.values()): sample.value for sample in metric.samples}


def test_a_number_is_a_counter_unless_it_goes_down_too():
    found = told(publish_sent=4, sessions=2)
    assert (found["bartizan_publish_sent"].type, found["bartizan_sessions"].type) == ("counter", "gauge")
    assert samples(found["bartizan_publish_sent"]) == {("bartizan_publish_sent_total",): 4}


def test_one_of_several_has_its_label():
    found = told(limits_met__connections_max=3, listener_clients_connected__mqtts=5, role_clients_connected__press=4)
    assert samples(found["bartizan_limits_met"]) == {("bartizan_limits_met_total", "connections_max"): 3}
    assert samples(found["bartizan_listener_clients_connected"]) == {
        ("bartizan_listener_clients_connected", "mqtts"): 5
    }
    assert found["bartizan_role_clients_connected"].samples[0].labels == {"role": "press"}


def test_buckets_are_added_up_and_their_ends_are_seconds():
    found = told(store_sync_ns__100=1, store_sync_ns__2000000=5, store_sync_ns__inf=1, store_sync_ns__sum=3_000_000_000)
    name = "bartizan_store_sync_seconds"
    values = samples(found[name])
    assert values[f"{name}_bucket", "1e-07"] == 1
    assert values[f"{name}_bucket", "0.002"] == 6
    assert values[f"{name}_bucket", "+Inf"] == values[f"{name}_count",] == 7
    assert values[f"{name}_sum",] == pytest.approx(3.0)


def test_each_connect_time_has_its_labels_whatever_an_authenticator_calls_itself():
    numbers = {"100": 1, "inf": 2, "sum": 5_000_000_000}
    both = ("allowed/mqtts/own/method", "refused/wss/password")
    figures = {f"connect_ns/{end}/{of}": value for of in both for end, value in numbers.items()}
    [found] = [metric for metric in told_by_engine(figures) if metric.name == "bartizan_connect_seconds"]
    counts = [sample for sample in found.samples if sample.name == "bartizan_connect_seconds_count"]
    assert [(*sample.labels.values(), sample.value) for sample in counts] == [
        ("allowed", "mqtts", "own/method", 3),
        ("refused", "wss", "password", 3),
    ]


def test_who_was_let_in_and_refused_is_counted_by_listener():
    found = told(listener_connects_accepted__mqtts=5, listener_connects_refused__mqtts=7)
    for outcome, count in (("accepted", 5), ("refused", 7)):
        name = f"bartizan_listener_connects_{outcome}"
        assert samples(found[name]) == {(f"{name}_total", "mqtts"): count}


def test_a_histogram_of_what_is_not_there_has_no_numbers():
    assert told()["bartizan_store_sync_seconds"].samples == []


def test_roles_beyond_their_number_are_one():
    roles = {f"role_clients_connected/r{number:04}": 1 for number in range(ROLES_MAX + 7)}
    [found] = [metric for metric in told_by_engine(roles) if metric.name == "bartizan_role_clients_connected"]
    assert len(found.samples) == ROLES_MAX + 1
    assert {sample.labels["role"]: sample.value for sample in found.samples}[OTHER] == 7
