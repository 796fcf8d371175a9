"""Metrics as an ExportMetricsServiceRequest of OTLP, in JSON. Pure: time comes in as an argument."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from bartizan.audit.posting import otlp_attribute

CUMULATIVE = 2
"""AGGREGATION_TEMPORALITY_CUMULATIVE: each number is since the start."""

_INFINITY = "+Inf"


@dataclass(frozen=True, slots=True)
class Span:
    """Since when was counted, and until when: nanoseconds since the Unix epoch."""

    start_ns: int
    end_ns: int


@dataclass(slots=True)
class _Buckets:
    """One histogram, as it is gathered from its samples."""

    ends: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    count: float = 0.0
    sum: float = 0.0

    def take(self, sample: Sample) -> None:
        """One of its samples."""
        if sample.name.endswith("_sum"):
            self.sum = sample.value
        elif sample.labels.get("le") == _INFINITY:
            self.count = sample.value
        elif "le" in sample.labels:
            self.ends.append(float(sample.labels["le"]))
            self.counts.append(sample.value)

    def each(self) -> Iterator[int]:
        """How many in each bucket by itself: here they are cumulative."""
        below = 0.0
        for count in (*self.counts, self.count):
            yield int(count - below)
            below = count


def request(metrics: Iterable[Metric], resource: Mapping[str, str], span: Span) -> dict[str, Any]:
    """The whole request."""
    told = [_told(metric, span) for metric in metrics if metric.samples]
    about = {"attributes": [otlp_attribute(key, value) for key, value in resource.items()]}
    return {
        "resourceMetrics": [{"resource": about, "scopeMetrics": [{"scope": {"name": "bartizan"}, "metrics": told}]}]
    }


def _told(metric: Metric, span: Span) -> dict[str, Any]:
    head = {"name": metric.name, "description": metric.documentation, "unit": _unit(metric.name)}
    match metric.type:
        case "histogram":
            points = [_bucketed(labels, each, span) for labels, each in _gathered(metric).items()]
            return head | {"histogram": {"dataPoints": points, "aggregationTemporality": CUMULATIVE}}
        case "counter":
            points = [_point(sample, span) for sample in metric.samples if sample.name.endswith("_total")]
            kept = {"dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": True}
            return head | {"sum": kept}
        case _:
            return head | {"gauge": {"dataPoints": [_point(sample, span) for sample in metric.samples]}}


def _unit(name: str) -> str:
    if name.endswith("_seconds"):
        return "s"
    return "By" if name.endswith(("_bytes", "_bytes_received", "_bytes_sent")) else "1"


def _point(sample: Sample, span: Span) -> dict[str, Any]:
    return _times(span) | {"attributes": _attributes(sample.labels), "asDouble": sample.value}


def _times(span: Span) -> dict[str, Any]:
    # 64-bit numbers are text in JSON of protobuf.
    return {"startTimeUnixNano": str(span.start_ns), "timeUnixNano": str(span.end_ns)}


def _attributes(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [otlp_attribute(key, value) for key, value in labels.items() if key != "le"]


def _gathered(metric: Metric) -> Mapping[tuple[tuple[str, str], ...], _Buckets]:
    found: defaultdict[tuple[tuple[str, str], ...], _Buckets] = defaultdict(_Buckets)
    for sample in metric.samples:
        found[tuple((key, value) for key, value in sample.labels.items() if key != "le")].take(sample)
    return found


def _bucketed(labels: Iterable[tuple[str, str]], buckets: _Buckets, span: Span) -> dict[str, Any]:
    return _times(span) | {
        "attributes": _attributes(dict(labels)),
        "count": str(int(buckets.count)),
        "sum": buckets.sum,
        "bucketCounts": [str(count) for count in buckets.each()],
        "explicitBounds": buckets.ends,
    }
