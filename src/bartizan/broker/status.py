"""Counters -> `$SYS/broker/...` in Mosquitto's names, with its moving averages; `contract/...` is a name of our own.

One table serves `$SYS` and `/metrics`, so the two never disagree. Pure: time comes in as an argument.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "$SYS/broker/"

GAUGES: Mapping[str, str] = {
    "clients/connected": "clients_connected",
    "clients/active": "clients_connected",
    "clients/disconnected": "clients_disconnected",
    "clients/inactive": "clients_disconnected",
    "clients/total": "sessions",
    "connections/socket/count": "sockets_open",
    "messages/stored": "stored_messages",
    "store/messages/count": "stored_messages",
    "store/messages/bytes": "stored_bytes",
    "subscriptions/count": "subscriptions",
    "shared_subscriptions/count": "shared_subscriptions",
    "retained messages/count": "retained_messages",
}
"""What is so now: topic below `$SYS/broker/`, and the engine's counter behind it."""

TOTALS: Mapping[str, str] = {
    "clients/expired": "clients_expired",
    "messages/received": "messages_received",
    "messages/sent": "messages_sent",
    "bytes/received": "bytes_received",
    "bytes/sent": "bytes_sent",
    "publish/messages/received": "publish_received",
    "publish/messages/sent": "publish_sent",
    "publish/messages/dropped": "publish_dropped",
    "publish/bytes/received": "publish_bytes_received",
    "publish/bytes/sent": "publish_bytes_sent",
    "contract/counted": "contract_counted",
    "contract/warned": "contract_warned",
    "contract/refused": "contract_refused",
}
"""What was counted since the start."""

LOADS: Mapping[str, str] = {
    "messages/received": "messages_received",
    "messages/sent": "messages_sent",
    "publish/received": "publish_received",
    "publish/sent": "publish_sent",
    "publish/dropped": "publish_dropped",
    "bytes/received": "bytes_received",
    "bytes/sent": "bytes_sent",
    "sockets": "sockets_accepted",
    "connections": "connects_accepted",
}
"""What has moving averages, per minute."""

SPANS: Mapping[str, float] = {"1min": 60.0, "5min": 300.0, "15min": 900.0}
"""Time constants of the averages, in seconds."""

MAXIMUM = "clients/maximum"
UPTIME = "uptime"
VERSION = "version"


@dataclass(frozen=True, slots=True)
class Loads:
    """Moving averages as they stood at `at_s`, of the counters as they stood then."""

    at_s: float
    counted: Mapping[str, int]
    averages: Mapping[str, float]
    clients_maximum: int = 0

    @classmethod
    def begin(cls, counters: Mapping[str, int], at_s: float) -> "Loads":
        """Nothing has happened yet."""
        averages = {f"load/{load}/{span}": 0.0 for load in LOADS for span in SPANS}
        return cls(at_s, _counted(counters), averages, counters.get("clients_connected", 0))

    def advance(self, counters: Mapping[str, int], at_s: float) -> "Loads":
        """The averages a while later; the same if no time has passed."""
        elapsed_s = at_s - self.at_s
        if elapsed_s <= 0:
            return self
        counted = _counted(counters)
        averages = {
            topic: _average(self.averages[topic], counted[counter] - self.counted[counter], elapsed_s, span_s)
            for load, counter in LOADS.items()
            for span, span_s in SPANS.items()
            for topic in [f"load/{load}/{span}"]
        }
        most = max(self.clients_maximum, counters.get("clients_connected", 0))
        return Loads(at_s, counted, averages, most)


def _counted(counters: Mapping[str, int]) -> dict[str, int]:
    return {counter: counters.get(counter, 0) for counter in LOADS.values()}


def _average(before: float, more: int, elapsed_s: float, span_s: float) -> float:
    """An exponential average of a rate per minute, as Mosquitto computes it."""
    rate = more * 60.0 / elapsed_s
    return rate + math.exp(-elapsed_s / span_s) * (before - rate)


def with_stored(counters: Mapping[str, int]) -> dict[str, int]:
    """The counters with the sums that Mosquitto's names need: what waits in queues and what is retained."""
    sums = {
        "stored_messages": counters.get("queued_messages", 0) + counters.get("retained_messages", 0),
        "stored_bytes": counters.get("queued_bytes", 0) + counters.get("retained_bytes", 0),
    }
    return {**counters, **sums}


def numbers(counters: Mapping[str, int], loads: Loads, uptime_s: int) -> dict[str, float]:
    """Every number below `$SYS/broker/`."""
    stored = with_stored(counters)
    table: dict[str, float] = {topic: stored.get(counter, 0) for topic, counter in {**GAUGES, **TOTALS}.items()}
    table[MAXIMUM] = max(loads.clients_maximum, counters.get("clients_connected", 0))
    table[UPTIME] = uptime_s
    return table | dict(loads.averages)


def status_topics(counters: Mapping[str, int], loads: Loads, uptime_s: int, version: str) -> dict[str, str]:
    """What is published: full topic -> text."""
    table = numbers(counters, loads, uptime_s)
    texts = {topic: f"{value:.2f}" if topic.startswith("load/") else str(int(value)) for topic, value in table.items()}
    texts[UPTIME] = f"{uptime_s} seconds"
    texts[VERSION] = f"bartizan {version}"
    return {PREFIX + topic: text for topic, text in sorted(texts.items())}
