"""Figures, and spans of requests, to an OpenTelemetry collector: sent while a broker runs and at its end; one that fails is told of once."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from tests.posts import Posts, taking_posts
from tests.security.party import eventually


def requests(collector: Posts) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in collector.posted]


def named(collector: Posts) -> dict[str, dict[str, Any]]:
    """The metrics of the last request, by name."""
    return {
        metric["name"]: metric
        for resource in requests(collector)[-1]["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    }


@pytest.fixture
def collector() -> Iterator[Posts]:
    with taking_posts("/v1/metrics") as found:
        yield found


def settings(collector: Posts) -> list[str]:
    told = {"metrics_url": collector.url, "danger_plaintext_metrics": "a test", "interval_s": "1"}
    return [word for key, value in told.items() for word in ("--set", f"metrics.otlp.{key}={value}")]


def test_a_collector_gets_the_figures_and_the_last_ones(up, collector, tmp_path):
    token = tmp_path / "headers"
    token.write_text("Authorization: Bearer abc\n")
    token.chmod(0o600)
    running = up(*settings(collector), "--set", f"metrics.otlp.headers_file={token}")
    eventually(lambda: collector.posted)
    assert collector.posted[0][0]["authorization"] == "Bearer abc"
    attributes = requests(collector)[0]["resourceMetrics"][0]["resource"]["attributes"]
    assert {"key": "service.name", "value": {"stringValue": "bartizan"}} in attributes
    metrics = named(collector)
    assert all(name.startswith("bartizan_") for name in metrics)
    assert metrics["bartizan_ready"]["gauge"]["dataPoints"][0]["asDouble"] == 1
    assert metrics["bartizan_connects_accepted"]["sum"]["isMonotonic"]
    changes = [{"key": "log", "value": {"stringValue": "changes"}}]
    points = metrics["bartizan_audit_sync_seconds"]["histogram"]["dataPoints"]
    [synced] = [point for point in points if point["attributes"] == changes]
    assert int(synced["count"]) == sum(map(int, synced["bucketCounts"])) >= 1
    assert len(synced["bucketCounts"]) == len(synced["explicitBounds"]) + 1
    assert int(synced["startTimeUnixNano"]) < int(synced["timeUnixNano"])
    before = len(collector.posted)
    assert running.stop() == 0
    assert len(collector.posted) > before


def test_a_collector_that_fails_is_told_of_once_and_when_it_is_over(up, collector):
    collector.status = 503
    running = up(*settings(collector))
    eventually(lambda: collector.refused >= 2)
    assert running.wait_for("metrics_not_sent")["reason"] == "it answered 503"
    assert sum(event["event"] == "metrics_not_sent" for event in running.log()) == 1
    collector.status = 200
    running.wait_for("metrics_sent")


def test_what_an_operator_asks_for_is_a_span_in_its_trace(up, collector):
    told = {"traces_url": collector.url, "danger_plaintext_traces": "a test", "interval_s": "1"}
    running = up(*(word for key, value in told.items() for word in ("--set", f"traces.{key}={value}")))
    transport = httpx2.HTTPTransport(uds=str(running.data / "control.sock"))
    with httpx2.Client(transport=transport, base_url="http://control") as client:
        place = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        assert client.post("/v1/reload?secret=word", headers=place).status_code == 200
        for strangers in ("/metrics", "/health/live", "/v1/nothing"):
            client.get(strangers)
    eventually(lambda: collector.posted)
    assert running.stop() == 0
    [resource] = requests(collector)[0]["resourceSpans"]
    spans = {span["name"]: span for each in resource["scopeSpans"] for span in each["spans"]}
    assert spans.keys() == {"POST /v1/reload"}
    span = spans["POST /v1/reload"]
    assert (span["traceId"], span["parentSpanId"], span["kind"]) == ("a" * 32, "b" * 16, 2)
    assert int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])
    assert {"key": "http.response.status_code", "value": {"intValue": "200"}} in span["attributes"]
    assert "secret" not in json.dumps(requests(collector))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('metrics_url = "http://otel.example/v1/metrics"', "danger_plaintext_metrics"),
        ('metrics_url = "otel.example:4318"', "no URL"),
        ('metrics_url = "https://me:word@otel.example/v1/metrics"', "headers_file"),
        ('metrics_url = "https://otel.example/v1/metrics"\ninterval_s = 0.1', "interval_s"),
    ],
)
def test_a_collector_that_cannot_be_meant_is_refused(tmp_path, text, says):
    file = tmp_path / "bartizan.toml"
    file.write_text(f"[metrics.otlp]\n{text}\n")
    with pytest.raises(ConfigurationError, match=says):
        load_settings(file)


def test_paths_are_relative_to_the_configuration(tmp_path):
    file = tmp_path / "bartizan.toml"
    file.write_text('[metrics.otlp]\nmetrics_url = "https://otel.example/v1/metrics"\nca_file = "ca.pem"\n')
    otlp = load_settings(file).metrics.otlp
    assert otlp is not None
    assert otlp.ca_file == tmp_path / "ca.pem"
