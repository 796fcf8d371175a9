"""The engine's figures as metrics: `NAME` is one number, `NAME/OF` one of several, `NAME_ns/END` a bucket of a histogram."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from bartizan.api.metric_names import NOT_IN_NAMES
from bartizan.broker.figures import OTHER, ROLES_MAX

GAUGES_OF_OURS = frozenset(
    {
        "clients_connected",
        "sessions",
        "clients_disconnected",
        "subscriptions",
        "shared_subscriptions",
        "queued_messages",
        "queued_bytes",
        "retained_messages",
        "retained_bytes",
        "authentications_pending",
        "shards",
        "shards_alive",
        "store_full",
        "store_failed",
        "epoch",
    }
)
"""Counters of the engine that go down as well as up; every other one only grows."""

HISTOGRAMS: Mapping[str, str] = {
    "publish_delivery": "From a PUBLISH read to what it led to written.",
    "policy_decision": "A decision about a PUBLISH.",
    "store_sync": "The disk takes messages and Sessions.",
}
"""What the engine times, by its own name."""

_NS = "_ns"
_SUM = "sum"
_INFINITY = "inf"


def told_by_engine(figures: Mapping[str, int]) -> Iterator[Metric]:
    """Every metric of the engine."""
    several: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for figure, value in sorted(figures.items()):
        name, slash, of = figure.partition("/")
        if slash:
            several[name][of] = value
        else:
            yield _one(name, value)
    limits = CounterMetricFamily("bartizan_limits_met", "Limits met.", labels=["limit"])
    for limit, value in several["limits_met"].items():
        limits.add_metric([limit], value)
    yield limits
    yield _gauges("listener", several["listener_clients_connected"])
    yield _gauges("role", _bounded(several["role_clients_connected"]))
    for name, text in HISTOGRAMS.items():
        yield _histogram(name, text, several[name + _NS])


def _one(name: str, value: int) -> Metric:
    family = GaugeMetricFamily if name in GAUGES_OF_OURS else CounterMetricFamily
    return family(f"bartizan_{NOT_IN_NAMES.sub('_', name)}", f"Engine: {name.replace('_', ' ')}.", value=value)


def _gauges(label: str, values: Mapping[str, int]) -> Metric:
    metric = GaugeMetricFamily(f"bartizan_{label}_clients_connected", f"Clients connected, by {label}.", labels=[label])
    for of, value in values.items():
        metric.add_metric([of], value)
    return metric


def _bounded(roles: Mapping[str, int]) -> Mapping[str, int]:
    """The first so many by name, and the others as one."""
    bounded = Counter[str]()
    for at, role in enumerate(sorted(roles)):
        bounded[role if at < ROLES_MAX else OTHER] += roles[role]
    return bounded


def _histogram(name: str, text: str, counted: Mapping[str, int]) -> Metric:
    metric = HistogramMetricFamily(f"bartizan_{name}_seconds", text, labels=[])
    if counted:
        ends = sorted(int(end) for end in counted if end.isdigit())
        counts = accumulate(counted[str(end)] for end in ends)
        buckets = [(repr(end / 1e9), float(count)) for end, count in zip(ends, counts, strict=True)]
        everything = (buckets[-1][1] if buckets else 0.0) + counted[_INFINITY]
        metric.add_metric([], [*buckets, ("+Inf", everything)], counted[_SUM] / 1e9)
    return metric
