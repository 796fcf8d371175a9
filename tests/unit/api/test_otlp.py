"""Metrics as OTLP has them: numbers since the start, buckets each by itself, labels as attributes."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from bartizan.api.otlp import Span, request

SPAN = Span(1_000, 2_000)


def told(*metrics):
    [resource] = request(metrics, {"service.name": "bartizan"}, SPAN)["resourceMetrics"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "bartizan"}}]
    [scope] = resource["scopeMetrics"]
    return {each["name"]: each for each in scope["metrics"]}


def test_a_counter_is_a_sum_that_only_grows():
    counter = CounterMetricFamily("bartizan_denied", "Denied.", labels=["role"])
    counter.add_metric(["press"], 7)
    [point] = told(counter)["bartizan_denied"]["sum"]["dataPoints"]
    assert point["asDouble"] == 7
    assert point["attributes"] == [{"key": "role", "value": {"stringValue": "press"}}]
    assert (point["startTimeUnixNano"], point["timeUnixNano"]) == ("1000", "2000")
    assert told(counter)["bartizan_denied"]["sum"]["isMonotonic"] is True
    assert told(counter)["bartizan_denied"]["sum"]["aggregationTemporality"] == 2


def test_a_gauge_is_one():
    found = told(GaugeMetricFamily("bartizan_queued_bytes", "Octets.", value=9))["bartizan_queued_bytes"]
    assert found["gauge"]["dataPoints"][0]["asDouble"] == 9
    assert found["unit"] == "By"


def test_buckets_of_a_histogram_are_not_added_up():
    histogram = HistogramMetricFamily("bartizan_audit_sync_seconds", "Syncs.", labels=["log"])
    histogram.add_metric(["changes"], [("0.1", 2), ("1.0", 3), ("+Inf", 7)], 42.5)
    histogram.add_metric(["events"], [("0.1", 0), ("1.0", 1), ("+Inf", 1)], 0.5)
    found = told(histogram)["bartizan_audit_sync_seconds"]
    assert found["unit"] == "s"
    changes, events = found["histogram"]["dataPoints"]
    assert changes["attributes"] == [{"key": "log", "value": {"stringValue": "changes"}}]
    assert (changes["count"], changes["sum"]) == ("7", 42.5)
    assert (changes["explicitBounds"], changes["bucketCounts"]) == ([0.1, 1.0], ["2", "1", "4"])
    assert events["bucketCounts"] == ["0", "1", "0"]


def test_what_has_no_number_is_not_told():
    assert told(GaugeMetricFamily("bartizan_findings_open", "Open.", labels=["severity"])) == {}
