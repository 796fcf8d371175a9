"""What a storm does to the traffic of those connected, and how soon all are back.

    .venv/bin/python -m bench.storms --clients 20000 > storms.json

It starts Bartizan as `make bench` does, lets a pair of clients exchange 1,000 messages a second (open loop: latency
counts from when a message was due), and beside it lets a crowd of clients come, and then handshakes without end. One
core for the broker, the other for both generators: what they take from one another is in the figures.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.generator import door_words
from bench.process import Door, pinned
from bench.records import parse_line
from bench.rivals import Variant
from bench.rivals.bartizan import GENERATOR, Bartizan
from bench.run import allow_descriptors
from bench.stage import Stage

RATE_PER_S = 1_000
PATIENCE_S = 120
DESCRIPTORS_SPARE = 500
ENDLESS_S = 8.0


@dataclass(frozen=True, slots=True)
class Storm:
    """One kind of storm: what the generator is told."""

    name: str
    variant: Variant
    words: Sequence[str]
    seconds: float
    """For which the pair is measured: about as long as the storm lasts."""


def storms(clients: int) -> tuple[Storm, ...]:
    """None at all, to compare with; all come back; connections and handshakes without end."""
    crowd = ("idle", "--connections", str(clients), "--warmup", "0.1")
    churn = ("--connections", "500", "--seconds", str(ENDLESS_S), "--warmup", "2")
    return (
        Storm("none", Variant.PLAIN, (), ENDLESS_S),
        Storm("all come back", Variant.PLAIN, crowd, clients / 8_000),
        Storm("connections without end, 500 at once", Variant.PLAIN, ("connects", *churn), ENDLESS_S),
        Storm("none", Variant.TLS, (), ENDLESS_S),
        Storm("all come back", Variant.TLS, crowd, clients / 2_000),
        Storm("full handshakes without end, 500 at once", Variant.TLS, ("tls_handshakes_full", *churn), ENDLESS_S),
        Storm(
            "resumed handshakes without end, 500 at once", Variant.TLS, ("tls_handshakes_resumed", *churn), ENDLESS_S
        ),
    )


def started(core: int, door: Door, directory: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """A generator at work."""
    argv = [str(GENERATOR), "run", words[0], *door_words(door, directory), *words[1:]]
    argv += ["--stall", str(PATIENCE_S), "--quiet"]
    return subprocess.Popen(pinned(core, argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603


def line_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it says at its end."""
    out, words = process.communicate(timeout=PATIENCE_S * 3)
    line = parse_line(out)
    if not line:
        raise SystemExit(f"the generator said nothing: {words.strip()}")
    return line


@contextmanager
def traffic(core: int, door: Door, directory: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The pair whose latency is measured, on its way when the block begins."""
    words = ("latency_1to1", "--rate", str(RATE_PER_S), "--seconds", f"{seconds:g}", "--warmup", "1")
    pair = started(core, door, directory, (*words, "--client-id", "pair", "--topic", "bench/pair"))
    time.sleep(1.2)
    try:
        yield pair
    finally:
        if pair.poll() is None:
            pair.kill()


def measured(stage: Stage, storm: Storm) -> dict[str, Any]:
    """One storm, with a broker of its own."""
    rival = Bartizan(stage.place / "made")
    if storm.variant is not Variant.PLAIN:
        rival.obtain()
    with stage.broker(rival, storm.variant, "3.1.1") as (broker, door), tempfile.TemporaryDirectory() as place:
        core, directory = stage.cores.generator, Path(place)
        with traffic(core, door, directory, storm.seconds) as pair:
            pids = [word for pid in broker.pids() for word in ("--pid", str(pid))]
            line = line_of(started(core, door, directory, (*storm.words, *pids))) if storm.words else {}
            beside = line_of(pair)
    return {"storm": storm.name, "variant": storm.variant, "pair": beside, "crowd": line}


def main() -> None:
    """Measures all of them; one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20_000, help="of the crowd that comes back")
    arguments = parser.parse_args()
    hard = allow_descriptors()
    if hard < arguments.clients + DESCRIPTORS_SPARE:
        raise SystemExit(f"this process may open {hard} files only: --clients {hard - DESCRIPTORS_SPARE}")
    with tempfile.TemporaryDirectory(prefix="bartizan-storms-") as place:
        stage = Stage.prepare(Path(place) / "stage")
        for storm in storms(arguments.clients):
            print(json.dumps(measured(stage, storm)), flush=True)


if __name__ == "__main__":
    main()
