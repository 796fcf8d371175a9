"""Made-up results, so that the pure parts can be tested without a broker."""

from bench.plan import FIGURES, Scenario
from bench.records import BrokerNote, Header, Record, Results
from bench.rivals.base import Variant

SCENARIO = Scenario(
    name="pairs",
    group="Plain: anonymous",
    title="10 to 10 pairs",
    load="pairs",
    mqtt="3.1.1",
    variant=Variant.PLAIN,
    arguments=(),
    figures=(FIGURES["rate"],),
)
PACED = Scenario(
    name="paced",
    group="Latency",
    title="1 to 1",
    load="paced",
    mqtt="3.1.1",
    variant=Variant.PLAIN,
    arguments=(),
    figures=(FIGURES["p50"], FIGURES["p99"]),
)


def note(name: str, missing: str | None = None) -> BrokerNote:
    return BrokerNote(name=name, title=name.title(), source="npm", version="1", remark="", missing=missing)


def rate(broker: str, repetition: int, per_cpu_s: float, **faults: int) -> Record:
    line = {"scenario": "pairs", "per_cpu_s": per_cpu_s, "ok": not faults, "error": None, "lost": 0, **faults}
    return Record(scenario="pairs", broker=broker, repetition=repetition, line=line)


def delay(broker: str, p50: float, p99: float) -> Record:
    line = {"scenario": "paced", "latency_us": {"p50": p50, "p99": p99}, "error": None}
    return Record(scenario="paced", broker=broker, repetition=0, line=line)


def results(*records: Record, brokers: tuple[str, ...] = ("bartizan", "relay", "mosquitto", "aedes")) -> Results:
    header = Header(
        began="2026-12-01 12:00 UTC",
        commit="0123456789ab",
        machine={"processor": "a processor", "cores": "2", "kernel": "Linux 6"},
        brokers=(*(note(name) for name in brokers), note("emqx", "in no registry")),
        seconds=5.0,
        repeat=3,
    )
    return Results(header, records)
