"""Prometheus: `bartizan_*`, and names of other brokers where the settings ask for them (`metric_names`).

No label carries anything a client chose: the network could grow it without bound.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bartizan.api.engine_metrics import told_by_engine
from bartizan.api.metric_names import emqx, mosquitto
from bartizan.broker.app import Broker, State
from bartizan.broker.certificates import expiries
from bartizan.broker.chores import installed_version
from bartizan.broker.figures import RoleActivity
from bartizan.config.danger import dangers

ROLE_FIGURES: Sequence[tuple[str, str, Callable[[RoleActivity], int]]] = (
    ("publish_received", "PUBLISH packets received, by role.", lambda did: did.publishes),
    ("publish_bytes_received", "Octets of payload received, by role.", lambda did: did.octets),
    ("denied", "Actions of clients that the policy refused, by role.", lambda did: did.denied),
)
"""What is told of each role: the name behind `bartizan_role_`, a text, and the figure."""


class BrokerCollector(Collector):
    """Reads one broker whenever it is scraped."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def collect(self) -> Iterator[Metric]:
        """Every metric, now."""
        names = self._broker.settings.metrics
        if names.mosquitto_names:
            yield from mosquitto(self._broker)
        if names.emqx_names:
            yield from emqx(self._broker)
        yield from self.own()

    def own(self) -> Iterator[Metric]:
        """Those under Bartizan's own names."""
        yield from told_by_engine(self._broker.engine.metrics())
        yield from self._measured()
        yield from self._posture()

    def _measured(self) -> Iterator[Metric]:
        figures = self._broker.figures
        asked = HistogramMetricFamily(
            "bartizan_authentication_seconds",
            "From a question for the authenticators to its answer.",
            labels=["listener", "method", "outcome"],
        )
        for of, took in figures.authentications.items():
            asked.add_metric([of.listener, of.method, of.outcome], took.buckets, took.sum)
        yield asked
        roles = CounterMetricFamily(
            "bartizan_authentications_allowed", "Clients that authenticators let in, by role.", labels=["role"]
        )
        for role, count in figures.roles.items():
            roles.add_metric([role], count)
        yield roles
        synced = HistogramMetricFamily(
            "bartizan_audit_sync_seconds", "The disk takes records of the audit.", labels=["log"]
        )
        for log, took in figures.syncs.items():
            synced.add_metric([log], took.buckets, took.sum)
        yield synced
        yield from self._by_role()

    def _by_role(self) -> Iterator[Metric]:
        told = self._broker.detection.by_role.read()
        for name, text, of in ROLE_FIGURES:
            metric = CounterMetricFamily(f"bartizan_role_{name}", text, labels=["role"])
            for role, did in told.items():
                metric.add_metric([role], of(did))
            yield metric

    def _posture(self) -> Iterator[Metric]:
        broker = self._broker
        yield _labelled("bartizan_build", "The version that runs.", {"version": installed_version()}, 1)
        policy = {"digest": broker.in_force.policy.digest}
        yield _labelled("bartizan_policy", "The policy in force.", policy, 1)
        yield GaugeMetricFamily("bartizan_identities", "Identities on record.", value=len(broker.directory))
        yield GaugeMetricFamily("bartizan_dangers", "Settings danger_* in force.", value=len(dangers(broker.settings)))
        bans = GaugeMetricFamily("bartizan_bans", "Bans, by what they ban.", labels=["of"])
        for of, count in broker.directory.banned().items():
            bans.add_metric([of.value], count)
        yield bans
        yield GaugeMetricFamily("bartizan_ready", "1 while clients are accepted.", value=broker.state is State.READY)
        ends = GaugeMetricFamily(
            "bartizan_certificate_expiry_timestamp_seconds",
            "When a certificate of this broker ends.",
            labels=["certificate", "listener"],
        )
        expiring = GaugeMetricFamily(
            "bartizan_credentials_expiring", "Credentials without a successor near their end.", labels=["within_days"]
        )
        for days, count in sorted(broker.ages.counts.items()):
            expiring.add_metric([str(days)], count)
        yield expiring
        yield from self._findings()
        lag = GaugeMetricFamily(
            "bartizan_audit_lag_records", "Records that wait for a sink of the audit.", labels=["sink"]
        )
        missed = CounterMetricFamily(
            "bartizan_audit_missed_records", "Records that a sink of the audit never got.", labels=["sink"]
        )
        for carrier in broker.chores.carriers:
            lag.add_metric([carrier.name], carrier.lag())
            missed.add_metric([carrier.name], carrier.missed)
        yield lag
        yield missed
        yield from self._lists()
        for (certificate, listener), at in sorted(expiries(broker.settings, broker.data).items()):
            ends.add_metric([certificate, listener], _unix(at))
        yield ends

    def _findings(self) -> Iterator[Metric]:
        detection = self._broker.detection
        is_open = GaugeMetricFamily("bartizan_findings_open", "Findings that nobody has seen to.", labels=["severity"])
        for severity, count in detection.open.items():
            is_open.add_metric([str(severity)], count)
        yield is_open
        yield CounterMetricFamily("bartizan_findings", "Findings that were told.", value=detection.told)
        skipped = "Events of a flood that no detector has looked at."
        yield CounterMetricFamily("bartizan_detection_skipped", skipped, value=detection.skipped)

    def _lists(self) -> Iterator[Metric]:
        made, ends = (
            GaugeMetricFamily(f"bartizan_crl_{name}_timestamp_seconds", text, labels=["listener", "url"])
            for name, text in (
                ("this_update", "When the CRL of a URL was made; 0 where there is none."),
                ("next_update", "When the CRL of a URL ends; 0 where there is none."),
            )
        )
        for known in self._broker.crls.known():
            held = known.held
            made.add_metric([known.listener, known.url], _unix(held.this_update) if held else 0)
            ends.add_metric([known.listener, known.url], _unix(held.next_update) if held else 0)
        yield from (made, ends)


def _labelled(name: str, text: str, labels: dict[str, str], value: float) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=list(labels))
    metric.add_metric(list(labels.values()), value)
    return metric


def _unix(at: datetime) -> float:
    return at.timestamp()


def exposition(broker: Broker, accept: str) -> tuple[bytes, str]:
    """The text of `/metrics` in the form the scraper accepts, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BrokerCollector(broker))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
