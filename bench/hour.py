"""An hour at half of what the broker carries: QoS 0, 1 and 2 in turn, clients that come and go all the while.

    .venv/bin/python -m bench.hour --minutes 60 --out bench/results/hour

The broker is set up as in the `secure` rows of the table (TLS 1.3, passwords, policy, limits) and has a core to
itself. Each QoS is first driven as fast as it goes; half of that is its rate for the hour. The hour is made of
slices, each with new connections, every message of it verified. Beside them clients connect, subscribe and
leave, every other one without DISCONNECT. Writes a line of JSON for each slice, a report and a picture; exit code
1 when a message was lost, doubled, reordered or changed, or a client was refused.
"""

import argparse
import asyncio
import json
import os
import ssl
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.generator import Generator
from bench.lines import Graph, Line, draw
from bench.machine import commit, describe
from bench.plan import Scenario
from bench.process import Door, Running
from bench.records import FAULTS
from bench.rivals.bartizan import CHECKOUT, GENERATOR, Bartizan
from bench.rivals.base import UnobtainableError, Variant
from bench.run import PLACE, allow_descriptors
from bench.soak import packet, text
from bench.stage import Stage

PAIRS = 10
SIZE = 64
SLICE_S = 20.0
CALIBRATION_S = 10.0
COMING_PER_S = 20
"""Clients that come and go, on top of those of each slice."""
STAY_S = 2.0
COMING_NAMES = 400
"""They come back under these names: a password is hashed when one comes for the first time."""
MIB = 1 << 20


@dataclass(slots=True)
class Coming:
    """Clients that connect, subscribe, stay a little and leave."""

    door: Door
    come: int = 0
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is cancelled."""
        context = ssl.create_default_context(cafile=str(self.door.ca_file))
        staying: set[asyncio.Task[None]] = set()
        try:
            while True:
                task = asyncio.create_task(self._one(self.come, context))
                staying.add(task)
                task.add_done_callback(staying.discard)
                self.come += 1
                await asyncio.sleep(1 / COMING_PER_S)
        finally:
            await asyncio.gather(*staying)

    async def _one(self, number: int, context: ssl.SSLContext) -> None:
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection("localhost", self.door.port, ssl=context)
                writer.write(self._connect(f"bench-coming-{number % COMING_NAMES}"))
                if await reader.readexactly(4) != b"\x20\x02\x00\x00":
                    self.failures.append(f"client {number} was refused")
                writer.write(packet(0x82, b"\x00\x01" + text("bench/coming") + b"\x01"))
                if await reader.readexactly(5) != b"\x90\x03\x00\x01\x01":
                    self.failures.append(f"client {number} was not given its Subscription")
                await asyncio.sleep(STAY_S)
                if number % 2:
                    writer.write(b"\xe0\x00")
                writer.transport.close() if number % 2 else writer.transport.abort()
        except (OSError, EOFError, TimeoutError) as error:
            self.failures.append(f"client {number}: {type(error).__name__}")

    def _connect(self, client_id: str) -> bytes:
        user, password = self.door.user or "", self.door.password or ""
        return packet(0x10, text("MQTT") + b"\x04\xc2\x00\x3c" + text(client_id) + text(user) + text(password))


@dataclass(frozen=True, slots=True)
class Slice:
    """One run of the generator within the hour."""

    minute: float
    qos: int
    line: Mapping[str, Any]
    resident_bytes: int
    error: str | None = None

    def faults(self) -> int:
        """Messages that were not delivered exactly as they were sent."""
        return sum(int(self.line.get(kind) or 0) for kind in FAULTS)

    def latency_ms(self, share: str) -> float:
        """A percentile, such as "p99"."""
        return float(self.line["latency_us"][share]) / 1_000


@dataclass(slots=True)
class Hour:
    """One run."""

    stage: Stage
    generator: Generator
    door: Door
    broker: Running
    slices: list[Slice] = field(default_factory=list)

    async def run(self, minutes: float, out: Path) -> Mapping[int, float]:
        """The rates of the three QoS, deliveries per second; the slices are in `slices`."""
        rates = {qos: await self._half(qos) for qos in (0, 1, 2)}
        began, number = time.monotonic(), 0
        while (elapsed_s := time.monotonic() - began) < minutes * 60:
            qos = number % 3
            line, error = await self._drive(qos, SLICE_S, "--rate", f"{rates[qos]:.0f}")
            one = Slice(elapsed_s / 60, qos, line, resident(self.broker.pids()), error)
            self.slices.append(one)
            number += 1
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"minute": one.minute, "resident": one.resident_bytes, "error": error, **line}))
                file.write("\n")
            said = error or f"{one.latency_ms('p50'):.2f} ms p50, {one.latency_ms('p99'):.2f} ms p99"
            print(f"{one.minute:6.1f} min  QoS {qos}  {said}  {one.resident_bytes / MIB:.1f} MiB", flush=True)
        return rates

    async def _half(self, qos: int) -> float:
        line, error = await self._drive(qos, CALIBRATION_S, "--window", "20")
        if error is not None:
            raise UnobtainableError(error)
        print(f"QoS {qos}: {line['per_s']:,.0f} deliveries per second, as fast as it goes", flush=True)
        return float(line["per_s"]) / 2

    async def _drive(self, qos: int, seconds: float, *more: str) -> tuple[dict[str, Any], str | None]:
        load = "latency_1to1" if "--rate" in more else "p1_q0_16"
        numbers = ("--publishers", PAIRS, "--subscribers", PAIRS, "--qos", qos, "--size", SIZE)
        words = (*map(str, numbers), "--client-id", "bench-pair", "--topic", "bench/pair", *more)
        scenario = Scenario(
            name="hour",
            group="",
            title="",
            load=load,
            mqtt="3.1.1",
            variant=Variant.SECURE,
            arguments=words,
            figures=(),
        )
        return await asyncio.to_thread(
            self.generator.run,
            scenario,
            self.door,
            self.broker.pids(),
            label="hour",
            seconds=seconds,
            warm_up_s=0.0,
            directory=self.stage.place,
        )


def resident(pids: Sequence[int]) -> int:
    """Resident memory of these processes, octets."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report(slices: Sequence[Slice], rates: Mapping[int, float], coming: Coming, machine: Mapping[str, str]) -> str:
    """What came of it, for people."""
    good = [one for one in slices if one.error is None]
    total = sum(int(one.line["total_delivered"]) for one in good)
    rows = [
        "| | first third | last third |",
        "|---|---|---|",
        *(
            f"| QoS {qos}, {share} | {_third(good, qos, share, last=False)} | {_third(good, qos, share, last=True)} |"
            for qos in (0, 1, 2)
            for share in ("p50", "p99")
        ),
    ]
    third = max(1, len(good) // 3)
    first, last = (statistics.median(one.resident_bytes for one in part) for part in (good[:third], good[-third:]))
    rows.append(f"| resident memory | {first / MIB:.1f} MiB | {last / MIB:.1f} MiB |")
    faults = {kind: sum(int(one.line.get(kind) or 0) for one in good) for kind in FAULTS}
    half = ", ".join(f"QoS {qos} {rate:,.0f}" for qos, rate in rates.items())
    counted = ", ".join(f"{kind} {count}" for kind, count in faults.items())
    beside = f"{coming.come:,} clients came and went beside them, {len(coming.failures)} of them not as they should."
    return "\n".join(
        (
            f"# An hour at half: {good[-1].minute + SLICE_S / 60:.0f} minutes" if good else "# An hour at half",
            "",
            f"Commit {commit(CHECKOUT)}. {', '.join(f'{key} {value}' for key, value in machine.items())}.",
            "",
            f"Rates: {half} deliveries per second, half of what went through in a closed loop before.",
            "",
            f"{total:,} messages delivered in {len(good)} slices; {counted}. {beside}",
            "",
            *rows,
            "",
            "![Latency and memory over the hour](hour.svg)",
            "",
        )
    )


def _third(slices: Sequence[Slice], qos: int, share: str, *, last: bool) -> str:
    mine = [one for one in slices if one.qos == qos]
    third = max(1, len(mine) // 3)
    part = mine[-third:] if last else mine[:third]
    return f"{statistics.median(one.latency_ms(share) for one in part):.2f} ms" if part else "-"


def graphs(slices: Sequence[Slice]) -> list[Graph]:
    """Latency by QoS, and memory."""
    good = [one for one in slices if one.error is None]

    def over(share: str) -> tuple[Line, ...]:
        return tuple(
            Line(f"QoS {qos}", tuple((one.minute, one.latency_ms(share)) for one in good if one.qos == qos))
            for qos in (0, 1, 2)
        )

    memory = Line("broker", tuple((one.minute, one.resident_bytes / MIB) for one in good))
    return [
        Graph("Latency, median", "ms", over("p50")),
        Graph("Latency, 99th percentile", "ms", over("p99")),
        Graph("Resident memory", "MiB", (memory,)),
    ]


async def hour(minutes: float, out: Path) -> bool:
    """The whole run; whether nothing was wrong."""
    out.mkdir(parents=True, exist_ok=True)
    stage = Stage.prepare(PLACE / "hour")
    machine = describe()
    os.sched_setaffinity(0, {stage.cores.generator})
    rival = Bartizan(PLACE / "rivals" / Bartizan.name)
    rival.obtain()
    lines = out / "slices.jsonl"
    lines.unlink(missing_ok=True)
    with stage.broker(rival, Variant.SECURE, "3.1.1") as (broker, door):
        run = Hour(stage, Generator(GENERATOR, stage.cores.generator), door, broker)
        coming = Coming(door)
        beside = asyncio.create_task(coming.run())
        try:
            rates = await run.run(minutes, lines)
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
    subtitle = f"{PAIRS} to {PAIRS} pairs over TLS, {COMING_PER_S} clients a second come and go"
    (out / "hour.svg").write_text(draw("An hour at half of the maximum rate", subtitle, graphs(run.slices)), "utf-8")
    (out / "hour.md").write_text(report(run.slices, rates, coming, machine), "utf-8")
    wrong = [one.error for one in run.slices if one.error] + coming.failures
    for words in wrong[:10]:
        print(words, file=sys.stderr)
    return not wrong and not any(one.faults() for one in run.slices)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 1 when something was wrong, 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="python -m bench.hour", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=CHECKOUT / "bench/results/hour")
    asked = parser.parse_args(words)
    allow_descriptors()
    try:
        return 0 if asyncio.run(hour(asked.minutes, asked.out)) else 1
    except UnobtainableError as error:
        print(f"hour: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
