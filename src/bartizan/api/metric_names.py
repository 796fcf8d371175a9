"""Metrics under the names that dashboards of other brokers ask for: Mosquitto's exporter, EMQX.

Only what means the same has such a name. Kinds are "unknown" where they are counters: Prometheus' library would add
`_total` to a counter, and the name is the contract.
"""

import re
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from bartizan.broker.app import Broker
from bartizan.broker.certificates import expiries
from bartizan.broker.status import MAXIMUM, TOTALS, UPTIME

ANONYMOUS = re.compile(r"connect_ns/(?:inf|\d+)/allowed/[^/]+/anonymous\Z")
"""What the engine timed of CONNECTs that a listener let in without asking for a proof: a bucket of each."""

COUNTERS_THERE = frozenset({UPTIME, MAXIMUM, "clients/total"})
"""What Mosquitto's exporter calls a counter beside the totals. The last two are none: of no kind, they contradict nobody."""

NOT_IN_NAMES = re.compile(r"[^a-z0-9_]")

EMQX_GAUGES: Mapping[str, str] = {
    "connections_count": "sessions",
    "live_connections_count": "clients_connected",
    "sessions_count": "sessions",
    "subscriptions_count": "subscriptions",
    "subscriptions_shared_count": "shared_subscriptions",
    "retained_count": "retained_messages",
}
"""What is so now: the name behind `emqx_`, and the engine's counter."""

EMQX_TOTALS: Mapping[str, str] = {
    "bytes_received": "bytes_received",
    "bytes_sent": "bytes_sent",
    "packets_received": "messages_received",
    "packets_sent": "messages_sent",
    "packets_publish_received": "publish_received",
    "packets_publish_sent": "publish_sent",
    "messages_received": "publish_received",
    "messages_sent": "publish_sent",
    "delivery_dropped": "publish_dropped",
    "client_connected": "connects_accepted",
    "client_disconnected": "disconnects",
    "authorization_deny": "denied",
}
"""What was counted since the start."""


def exporter_name(topic: str) -> str:
    """Mosquitto's exporter: `clients/connected` below `$SYS/broker/` becomes `broker_clients_connected`."""
    return "broker_" + NOT_IN_NAMES.sub("_", topic)


def mosquitto(broker: Broker) -> Iterator[Metric]:
    """The numbers of `$SYS`, as Mosquitto's exporter calls them."""
    for topic, value in broker.chores.numbers().items():
        is_total = topic in TOTALS or topic in COUNTERS_THERE
        yield _single(exporter_name(topic), f"$SYS/broker/{topic}", "unknown" if is_total else "gauge", value)


def emqx(broker: Broker) -> Iterator[Metric]:
    """What EMQX tells, as far as it means the same here."""
    counters = broker.engine.metrics()
    for name, counter in EMQX_GAUGES.items():
        yield _single(f"emqx_{name}", f"EMQX: bartizan_{counter}.", "gauge", counters.get(counter, 0))
    most = broker.chores.numbers()[MAXIMUM]
    yield _single("emqx_live_connections_max", "EMQX: broker_clients_maximum.", "gauge", most)
    for name, counter in EMQX_TOTALS.items():
        yield _single(f"emqx_{name}", f"EMQX: bartizan_{counter}_total.", "unknown", counters.get(counter, 0))
    anonymous = sum(count for name, count in counters.items() if ANONYMOUS.match(name))
    for name in ("authentication_success_anonymous", "client_auth_anonymous"):
        yield _single(f"emqx_{name}", "EMQX: bartizan_connect_seconds_count of anonymous.", "unknown", anonymous)
    bans = sum(broker.directory.banned().values())
    yield _single("emqx_banned_count", "EMQX: bartizan_bans, all of them.", "gauge", bans)
    for name, value in _authentications(broker, counters.get("authentications_recalled", 0)).items():
        yield _single(f"emqx_{name}", "EMQX: bartizan_authentication_seconds_count.", "unknown", value)
    ends = GaugeMetricFamily(
        "emqx_cert_expiry_at",
        "EMQX: bartizan_certificate_expiry_timestamp_seconds.",
        labels=["listener_type", "listener_name"],
    )
    for (certificate, listener), at in sorted(expiries(broker.settings, broker.data).items()):
        if certificate == "server":
            kind = "wss" if broker.settings.listeners[listener].protocol == "websocket" else "ssl"
            ends.add_metric([kind, listener], at.timestamp())
    yield ends


def _authentications(broker: Broker, recalled: int) -> Mapping[str, float]:
    figures = broker.figures
    allowed = figures.authentications_of("allowed") + recalled
    failed = figures.authentications_of("refused") + figures.authentications_of("unavailable")
    return {
        "client_authenticate": allowed + failed,
        "authentication_success": allowed,
        "authentication_failure": failed,
    }


def _single(name: str, text: str, kind: str, value: float) -> Metric:
    metric = Metric(name, text, kind)
    metric.add_sample(name, {}, value)
    return metric
