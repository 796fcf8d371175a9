"""Spans of requests: what was asked and what became of it; never of a stranger, never more than there is room for."""

import asyncio

import pytest

from bartizan.api.spans import SPANS_MAX, Spans


def asked(spans, path="/v1/clients/press-01/disconnect", status=204, method="POST", headers=(), fails=False):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": []})
        if fails:
            raise RuntimeError("broken")

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        """Takes it."""

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(spans.around(app)(scope, receive, send))


def test_a_span_is_named_by_what_it_is_about_and_not_by_whom():
    spans = Spans(iter(range(100)).__next__)
    asked(spans)
    asked(spans, "/api/v1/identities/press-01", 200, "GET")
    names = [span["name"] for span in spans.take()]
    assert names == ["POST /v1/clients", "GET /api/v1/identities"]
    assert spans.take() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/metrics", 200), ("/health/ready", 503), ("/api/v1/health", 200), ("/api/v1/identities", 401), ("/x", 404)],
)
def test_neither_monitoring_nor_strangers_make_spans(path, status):
    spans = Spans()
    asked(spans, path, status, "GET")
    assert spans.take() == []


def test_what_fails_inside_is_an_error():
    spans = Spans()
    with pytest.raises(RuntimeError):
        asked(spans, status=500, fails=True)
    [span] = spans.take()
    assert span["status"] == {"code": 2}


@pytest.mark.parametrize("told", [b"00-abc-def-01", b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"\xff"])
def test_a_place_that_is_none_is_passed_over(told):
    spans = Spans()
    asked(spans, headers=[(b"traceparent", told)])
    [span] = spans.take()
    assert "parentSpanId" not in span
    assert len(span["traceId"]) == 32


def test_only_so_many_wait():
    spans = Spans()
    for _ in range(SPANS_MAX + 5):
        spans._waiting.append({})
    assert len(spans.take()) == SPANS_MAX
