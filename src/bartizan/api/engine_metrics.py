"""The engine's figures as metrics: `NAME` is one number, `NAME/OF` one of several, `NAME_ns/END` a bucket of a histogram.

Of several histograms of one name `NAME_ns/END/OF` is a bucket; what it is of stands in parts behind one another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from bartizan.api.metric_names import NOT_IN_NAMES
from bartizan.broker.figures import OTHER, ROLES_MAX

GAUGES_OF_OURS = frozenset(
    {
        "clients_connected",
        "sockets_open",
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

LABELLED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "connect": ("From a CONNECT read to its CONNACK written.", ("outcome", "listener", "method")),
    "handshake": ("From a connection accepted to its handshake done.", ("listener",)),
}
"""What it times of several: a text, and what it is of in the engine's order. A method may have any name, and comes last."""

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
    yield _filled(limits, several["limits_met"])
    yield _gauges("listener", several["listener_clients_connected"])
    for outcome in ("accepted", "refused"):
        yield _by_listener(outcome, several[f"listener_connects_{outcome}"])
    yield _gauges("role", _bounded(several["role_clients_connected"]))
    for name, text in HISTOGRAMS.items():
        yield _histogram(name, text, several[name + _NS])
    for name, (text, labels) in LABELLED.items():
        yield _histograms(name, text, labels, several[name + _NS])


def _one(name: str, value: int) -> Metric:
    family = GaugeMetricFamily if name in GAUGES_OF_OURS else CounterMetricFamily
    return family(f"bartizan_{NOT_IN_NAMES.sub('_', name)}", f"Engine: {name.replace('_', ' ')}.", value=value)


def _gauges(label: str, values: Mapping[str, int]) -> Metric:
    metric = GaugeMetricFamily(f"bartizan_{label}_clients_connected", f"Clients connected, by {label}.", labels=[label])
    return _filled(metric, values)


def _bounded(roles: Mapping[str, int]) -> Mapping[str, int]:
    """The first so many by name, and the others as one."""
    bounded = Counter[str]()
    for at, role in enumerate(sorted(roles)):
        bounded[role if at < ROLES_MAX else OTHER] += roles[role]
    return bounded


def _by_listener(outcome: str, values: Mapping[str, int]) -> Metric:
    name, text = f"bartizan_listener_connects_{outcome}", f"Connections and CONNECTs {outcome}, by listener."
    return _filled(CounterMetricFamily(name, text, labels=["listener"]), values)


def _filled(metric: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, int]) -> Metric:
    for of, value in values.items():
        metric.add_metric([of], value)
    return metric


def _histograms(name: str, text: str, labels: Sequence[str], counted: Mapping[str, int]) -> Metric:
    metric = HistogramMetricFamily(f"bartizan_{name}_seconds", text, labels=labels)
    each: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for figure, value in counted.items():
        end, _, of = figure.partition("/")
        each[of][end] = value
    for of, buckets in each.items():
        metric.add_metric(of.split("/", len(labels) - 1), *_buckets(buckets))
    return metric


def _histogram(name: str, text: str, counted: Mapping[str, int]) -> Metric:
    metric = HistogramMetricFamily(f"bartizan_{name}_seconds", text, labels=[])
    if counted:
        metric.add_metric([], *_buckets(counted))
    return metric


def _buckets(counted: Mapping[str, int]) -> tuple[list[tuple[str, float]], float]:
    """Of one histogram its buckets, as Prometheus has them, and its sum in seconds."""
    ends = sorted(int(end) for end in counted if end.isdigit())
    counts = accumulate(counted[str(end)] for end in ends)
    buckets = [(repr(end / 1e9), float(count)) for end, count in zip(ends, counts, strict=True)]
    everything = (buckets[-1][1] if buckets else 0.0) + counted[_INFINITY]
    return [*buckets, ("+Inf", everything)], counted[_SUM] / 1e9
