"""`bartizan bench`: drives any MQTT broker, verifies every message, counts the broker's CPU."""

import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from bartizan._engine import bench

app = App(
    name="bench",
    help="Measure an MQTT broker, this one or any other: messages per second of its CPU, every message verified.",
)

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Door:
    """Which broker, and as whom."""

    host: str | None = None
    """Host name or address. Default: 127.0.0.1."""
    port: int | None = None
    """Port. Default: 1883, with TLS 8883."""
    mqtt: Literal["3.1.1", "5"] | None = None
    """Version of MQTT. Default: 3.1.1."""
    tls: Flag = False
    """Connect over TLS."""
    ca: Path | None = None
    """CA certificate to trust."""
    cert: Path | None = None
    """Client certificate."""
    key: Path | None = None
    """Its private key."""
    danger_tls_unverified: Flag = False
    """Trust whoever answers."""
    post_quantum: Flag = False
    """Offer the key exchange X25519MLKEM768 first, not X25519."""
    user: str | None = None
    """User Name, with --password-file."""
    password_file: Path | None = None
    """File whose first line is the password."""
    auth_method: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """Prove the password by AUTH instead of sending it; with --mqtt 5."""
    client_id: str | None = None
    """Client Identifiers are this, a '-' and a number. Default: bench."""
    topic: str | None = None
    """All topics begin with this. Default: bench."""


@Parameter(name="*")
@dataclass(frozen=True)
class Interval:
    """How long, and whose CPU and memory are counted."""

    pid: Annotated[Sequence[int], Parameter(negative=(), show_default=False)] = ()
    """A process of the broker; several times."""
    seconds: float | None = None
    """How long is measured. Default: 10."""
    warmup: float | None = None
    """Seconds before that. Default: 2."""
    messages: int | None = None
    """Ends after so many messages or connections."""
    stall: float | None = None
    """Fails after so many seconds without progress. Default: 10."""
    label: str | None = None
    """Stands in the report, to be found again."""
    quiet: Flag = False
    """No progress on standard error."""


@Parameter(name="*")
@dataclass(frozen=True)
class Load:
    """What is other than the scenario says."""

    qos: Literal[0, 1, 2] | None = None
    """QoS of messages and Subscriptions."""
    size: int | None = None
    """Octets of a payload, 16 or more."""
    publishers: int | None = None
    """Connections that publish."""
    subscribers: int | None = None
    """Connections that subscribe."""
    window: int | None = None
    """Messages that a publisher may be ahead of delivery."""
    rate: float | None = None
    """Deliveries per second, sent on time: an open loop."""
    connections: int | None = None
    """Connections at once: connects, tls_handshakes_*, idle, idle_sub."""
    sources: int | None = None
    """Loopback addresses from which connects and tls_handshakes_* leave, 1 to 250. Default: 100."""
    at_once: int | None = None
    """Connections of idle and idle_sub on their way in at once. Default: 64."""
    subscriptions: int | None = None
    """Subscriptions of subs_1m."""
    retained: int | None = None
    """Retained Messages of retained."""


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Where a relay serves."""

    host: str | None = None
    """Loopback address. Default: 127.0.0.1."""
    port: int | None = None
    """Port; 0 takes any. Default: 1883."""
    cert: Path | None = None
    """Certificate chain, for TLS."""
    key: Path | None = None
    """Its private key."""


_DOOR = Door()
_INTERVAL = Interval()
_LOAD = Load()
_PLACE = Place()


@app.command
def run(scenario: str, /, *, door: Door = _DOOR, interval: Interval = _INTERVAL, load: Load = _LOAD) -> int:
    """Run a scenario and print its report, one line of JSON.

    Exit code 1 if a message was lost, delivered twice, out of order, changed, or at another QoS.

    For example:

        bartizan bench run p1_q1_w20 --port 1883 --pid 4711

        bartizan bench run latency_1to10 --rate 20000 --mqtt 5 --seconds 30

        bartizan bench run tls_handshakes_resumed --host localhost --tls --ca ca.crt

    Parameters
    ----------
    scenario
        One of those that `bartizan bench list` tells.
    """
    return _generate("run", scenario, *_words(door), *_words(interval), *_words(load))


@app.command(name="list")
def list_scenarios() -> int:
    """List the scenarios.

    For example:

        bartizan bench list
    """
    return _generate("list")


@app.command
def relay(*, place: Place = _PLACE) -> int:
    """Serve the least that any broker must do, on loopback: the limit to hold a broker against.

    It has no security, keeps nothing and never is a broker.

    For example:

        bartizan bench relay --port 21884
    """
    return _generate("relay", *_words(place))


@app.command
def faulty(
    *,
    fault: Literal["lose", "duplicate", "reorder", "corrupt", "wrong_qos"],
    every: int | None = None,
    place: Place = _PLACE,
) -> int:
    """Serve a relay that does wrong on purpose: to see that `run` finds it.

    For example:

        bartizan bench faulty --fault reorder --every 1000 --port 21884

    Parameters
    ----------
    fault
        What it does wrong.
    every
        In every so manyth delivery. Default: 1000.
    """
    return _generate("faulty", *_option("fault", fault), *_option("every", every), *_words(place))


def _words(options: Door | Interval | Load | Place) -> Iterator[str]:
    for field in fields(options):
        yield from _option(field.name, getattr(options, field.name))


def _option(name: str, value: str | float | Path | Sequence[int] | None) -> list[str]:
    """What was given, in the generator's own words; its defaults are its own."""
    option = "--" + name.replace("_", "-")
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    values = [value] if isinstance(value, str | int | float | Path) else value
    return [f"{option}={each}" for each in values]


def _generate(*words: str) -> int:
    """It runs outside Python, which would see Ctrl-C only afterwards: the system's own way ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        return bench(arguments=words)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return bench(arguments=words)
    finally:
        signal.signal(signal.SIGINT, before)
