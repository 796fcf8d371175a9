"""What `up` prints once the broker listens: short, true, and with two commands that work as they stand."""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bartizan.broker.ports import Bound
from bartizan.cli.console import plain_console
from bartizan.cli.first_run import ADMINISTRATOR, DEMO_SITE, Prepared
from bartizan.config.danger import Danger, dangers
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import BartizanError
from bartizan.pki.bundle import OPTIONS_FILES, Bundle

DEMO_TOPIC = f"data/{DEMO_SITE}/hall-2/press-01/temperature"
LABEL = 14
"""Columns of the labels."""
WIDE = 120
"""Columns from which nothing has to be broken."""
DEMO_FILTER = f"data/{DEMO_SITE}/+/+/temperature"


@dataclass(frozen=True, slots=True)
class Place:
    """One listener in words."""

    name: str
    what: str
    address: str
    tls: bool
    proof: str
    """How clients prove themselves there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that `up` has to say."""

    first: bool
    data: str
    policy: str
    ca_file: str
    ca_fingerprint: str
    places: tuple[Place, ...]
    metrics: str | None
    api: str | None
    dangers: tuple[Danger, ...]
    subscribe: str | None
    publish: str | None
    administrator: str | None = None
    administrator_secret: str | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, prepared: Prepared, settings: Settings, bound: Sequence[Bound], metrics: str | None, api: str | None
    ) -> "Summary":
        """The summary of a broker that listens."""
        data = prepared.data
        places = tuple(_place(listener, settings) for listener in bound)
        subscribe, publish = _demo(data.demo, settings, bound)
        return cls(
            first=prepared.first,
            data=str(data.root),
            policy=", ".join(str(name.absolute()) for name in _policy(settings, data)),
            ca_file=str(data.ca_certificate),
            ca_fingerprint=prepared.ca_fingerprint,
            places=places,
            metrics=metrics,
            api=api,
            dangers=dangers(settings),
            subscribe=subscribe,
            publish=publish,
            administrator=ADMINISTRATOR if prepared.administrator_secret else None,
            administrator_secret=prepared.administrator_secret,
        )


def _policy(settings: Settings, data: DataDirectory) -> Sequence[Path]:
    named = settings.policy.file or data.policy
    return (named,) if isinstance(named, Path) else named


def _place(bound: Bound, settings: Settings) -> Place:
    listener = settings.listeners[bound.name]
    carried = "MQTT over WebSocket" if listener.protocol == "websocket" else "MQTT"
    proofs = {"required": ["certificate"], "optional": ["certificate", "password"], "off": ["password"]}
    proof = list(proofs[listener.client_certificates] if listener.tls else ["password"])
    if listener.authentication is not None:
        proof = list(listener.authentication)
    if listener.danger_anonymous is not None:
        proof = ["nothing"] if listener.danger_ignore_credentials else [*proof, "nothing"]
    what = f"{carried}, TLS" if listener.tls else f"{carried}, Unix socket" if listener.is_unix else carried
    return Place(bound.name, what, bound.address, listener.tls, " or ".join(proof))


def _demo(demo: Path, settings: Settings, bound: Sequence[Bound]) -> tuple[str | None, str | None]:
    """Two commands to paste: by the demo bundles over TLS, else anonymously where that is let in."""
    for listener in bound:
        wanted = settings.listeners[listener.name]
        if wanted.protocol == "mqtt" and wanted.tls and wanted.client_ca_file is None:
            return _by_bundle(demo, _port(listener))
    for listener in bound:
        wanted = settings.listeners[listener.name]
        open_lab = wanted.danger_anonymous is not None and not wanted.tls
        if wanted.protocol == "mqtt" and open_lab and not wanted.is_unix:
            place = f"-h 127.0.0.1 -p {_port(listener)}"
            return f"mosquitto_sub {place} -v -t 'demo/#'", f"mosquitto_pub {place} -t demo/hello -m world"
    return None, None


def _port(bound: Bound) -> int:
    return int(bound.address.rpartition(":")[2])


def _by_bundle(demo: Path, port: int) -> tuple[str | None, str | None]:
    try:
        subscriber, publisher = (Bundle.load(demo / name) for name in ("dash-01", "press-01"))
    except BartizanError:
        return None, None
    if not all((demo / "dash-01" / name).exists() for name in OPTIONS_FILES):
        return None, None
    sub, pub = (
        f"XDG_CONFIG_HOME={shlex.quote(str(demo / bundle.identity))} mosquitto_{verb}"
        + ("" if bundle.port == port else f" -p {port}")
        for verb, bundle in (("sub", subscriber), ("pub", publisher))
    )
    return f"{sub} -v -t {shlex.quote(DEMO_FILTER)}", f"{pub} -t {DEMO_TOPIC} -q 1 -m 71.5"


def colourful(stream: TextIO) -> bool:
    """Whether to colour: a terminal whose user has not said NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _console(stream: TextIO) -> Console:
    # Paths and commands must not be cut or broken: they are to be pasted.
    plain = not colourful(stream)
    return plain_console(file=stream, soft_wrap=True, no_color=plain, force_terminal=False if plain else None)


def show(summary: Summary, stream: TextIO, *, json_output: bool) -> None:
    """Prints it: for eyes, or as one JSON object."""
    if json_output:
        stream.write(json.dumps(asdict(summary)) + "\n")
        return
    console = _console(stream)
    console.print()
    console.print("[bold]Bartizan[/] is up." if not summary.first else "[bold]Bartizan[/] is up, for the first time.")
    console.print()
    console.print(_places(summary))
    console.print()
    for label, value in _facts(summary, console.width if console.is_terminal else WIDE):
        console.print(f"  [dim]{label:{LABEL}}[/]{escape(value)}")
    for danger in summary.dangers:
        console.print()
        console.print(f"  [bold red]{escape(danger.setting)}[/]  {escape(danger.where)}")
        console.print(f"  [red]{escape(danger.effect)}[/]; the reason given: {escape(danger.reason)}")
    if summary.administrator_secret:
        console.print()
        _secret(console, summary.administrator_secret, summary.data)
    if summary.subscribe and summary.publish and (summary.first or summary.dangers):
        console.print()
        console.print("  Try it: paste the first into a second terminal, the second into a third.")
        console.print(f"  {summary.subscribe}", markup=False, style="green")
        console.print(f"  {summary.publish}", markup=False, style="green")
    console.print()


def _facts(summary: Summary, width: int) -> Iterator[tuple[str, str]]:
    yield "data", summary.data
    yield "policy", summary.policy
    if any(place.tls for place in summary.places):
        yield "CA", summary.ca_file
        fingerprint = summary.ca_fingerprint
        if width < WIDE:  # broken in the middle rather than anywhere
            half = (len(fingerprint) + 1) // 2
            fingerprint = f"{fingerprint[:half]}\n{'':{LABEL + 10}}{fingerprint[half:]}"
        yield "fingerprint", f"SHA-256 {fingerprint}"
    if summary.api:
        yield "API", f"https://{summary.api}/api/v1"
    if summary.metrics:
        yield "metrics", f"http://{summary.metrics}/metrics"


def _places(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 3, 0, 0))
    for place in summary.places:
        colour = "green" if place.tls else "bold red"
        table.add_row(f"  [{colour}]●[/]", f"[bold]{escape(place.address)}[/]", place.what, f"[dim]by {place.proof}[/]")
    return table


def _secret(console: Console, secret: str, data: str) -> None:
    console.print(f"  [bold]{ADMINISTRATOR:{LABEL}}[/][bold yellow]{secret}[/]   shown only now")
    console.print(
        f"{'':{LABEL + 2}}a one-time secret: bartizan passwd {ADMINISTRATOR} --data {shlex.quote(data)}", markup=False
    )


def show_secret(prepared: Prepared, stream: TextIO) -> None:
    """Prints the one-time secret of a first run whose broker did not start."""
    if prepared.administrator_secret is not None:
        _secret(_console(stream), prepared.administrator_secret, str(prepared.data.root))
