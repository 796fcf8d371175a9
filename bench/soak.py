"""A soak with misbehaving clients: 1,000 connections, 100 messages a second, one connection in a hundred hostile.

    .venv/bin/python bench/soak.py --minutes 5 > soak.json

It starts a broker of its own on loopback ports, over TLS, with an identity and a certificate for each
client. First a minute without the hostile ones, then the soak with them. The result says what the good
ones felt: messages lost, messages twice, connections ended, and the time from PUBLISH to delivery.
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bartizan.identity.register import new_identity
from bartizan.pki.ca import Authority
from bartizan.pki.enrolment import Address, enrol_device
from bartizan.store.sqlite import SqliteIdentityStore

HOST = "127.0.0.1"
HALL_PRESSES = 10
KEEP_ALIVE_S = 60
DRAIN_S = 5.0
CONNECTIONS_AT_ONCE = 16
POLICY = """
[topics."data/{hall}/{asset}/temperature"]
publish   = ["press"]
subscribe = ["dashboard"]
[roles.press]
binds = { asset = "client_id" }
[roles.dashboard]
"""
SETTINGS = (
    "listeners.mqtts.bind=127.0.0.1:0",
    "listeners.wss.bind=127.0.0.1:0",
    "api.bind=off",
    # Everybody comes from one address here; in the field a thousand devices do not.
    "limits.connections_per_prefix_max=5000",
    "limits.connection_burst_per_prefix=5000",
    "log.format=json",
)


def text(value: str | bytes) -> bytes:
    """A string as MQTT writes it."""
    octets = value.encode() if isinstance(value, str) else value
    return len(octets).to_bytes(2) + octets


def packet(first: int, body: bytes) -> bytes:
    """A Control Packet of MQTT 3.1.1, which is the same for all that is sent here."""
    length, head = len(body), bytearray([first])
    while True:
        length, octet = divmod(length, 128)
        head.append(octet | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def connect(client_id: str) -> bytes:
    """CONNECT with a clean Session."""
    return packet(0x10, text("MQTT") + b"\x04\x02" + KEEP_ALIVE_S.to_bytes(2) + text(client_id))


def publish(topic: str, payload: bytes, pid: int | None = None) -> bytes:
    """PUBLISH, at QoS 1 when it has a Packet Identifier."""
    return packet(0x32 if pid else 0x30, text(topic) + (pid.to_bytes(2) if pid else b"") + payload)


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next packet's first byte and body."""
    first, length, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        octet = (await reader.readexactly(1))[0]
        length |= (octet & 0x7F) << shift
        if octet < 0x80:
            return first, await reader.readexactly(length)
        shift += 7


@dataclass
class Felt:
    """What the good clients felt during one phase."""

    began: float = field(default_factory=time.monotonic)
    acknowledged: set[bytes] = field(default_factory=set)
    received: Counter[bytes] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    connections_lost: int = 0

    def summary(self) -> dict[str, object]:
        """As it is reported."""
        ordered = sorted(self.latencies_ms) or [0.0]
        at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)  # noqa: E731
        return {
            "acknowledged": len(self.acknowledged),
            "lost": len(self.acknowledged - set(self.received)),
            "twice": sum(1 for count in self.received.values() if count > 1),
            "connections_lost": self.connections_lost,
            "latency_ms": {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": round(ordered[-1], 2)},
        }


@dataclass(frozen=True)
class Bundle:
    """How one identity connects."""

    name: str
    context: ssl.SSLContext


@dataclass
class Soak:
    """One run."""

    port: int
    anonymous: ssl.SSLContext
    felt: Felt = field(default_factory=Felt)
    misdeeds: Counter[str] = field(default_factory=Counter)
    is_running: bool = True

    async def open(self, bundle: Bundle) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has its CONNACK."""
        reader, writer = await asyncio.open_connection(HOST, self.port, ssl=bundle.context)
        writer.write(connect(bundle.name))
        first, body = await read_packet(reader)
        if (first, body) != (0x20, b"\x00\x00"):
            raise ConnectionError(f"refused: {body.hex()}")
        return reader, writer

    async def dashboard(self, bundle: Bundle, hall: str, ready: asyncio.Semaphore) -> None:
        """Reads one hall."""
        async with ready:
            reader, writer = await self.open(bundle)
            writer.write(packet(0x82, b"\x00\x01" + text(f"data/{hall}/+/temperature") + b"\x01"))
            await read_packet(reader)
        ping = asyncio.create_task(self._ping(writer))
        try:
            while True:
                first, body = await read_packet(reader)
                if first & 0xF0 != 0x30:
                    continue
                at = 2 + int.from_bytes(body[:2])
                payload = body[at + 2 :]
                self.felt.received[payload] += 1
                self.felt.latencies_ms.append((time.monotonic() - float(payload.split()[1])) * 1_000)
                writer.write(b"\x40\x02" + body[at : at + 2])
        except (OSError, EOFError):
            self._lost()
        finally:
            ping.cancel()

    async def press(self, bundle: Bundle, hall: str, interval_s: float, ready: asyncio.Semaphore) -> None:
        """Publishes at its pace."""
        async with ready:
            reader, writer = await self.open(bundle)
        number = 0
        try:
            await asyncio.sleep(random.uniform(0, interval_s))  # noqa: S311  spread, not secret
            while self.is_running:
                began, number = time.monotonic(), number % 60_000 + 1
                payload = f"{bundle.name}-{number} {began!r}".encode()
                felt = self.felt
                writer.write(publish(f"data/{hall}/{bundle.name}/temperature", payload, number))
                while (await read_packet(reader))[0] != 0x40:
                    pass
                felt.acknowledged.add(payload)
                await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - began)))
        except (OSError, EOFError):
            self._lost()
        writer.close()

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S / 2)
            writer.write(b"\xc0\x00")

    def _lost(self) -> None:
        if self.is_running:
            self.felt.connections_lost += 1

    # ---- the hostile ones: each begins anew as soon as it is thrown out --------------------------

    async def again(self, what: str, bundle: Bundle) -> None:
        """Repeats one misdeed for as long as the run lasts."""
        misdeed = getattr(self, what)
        while True:
            self.misdeeds[what] += 1
            with suppress(OSError, EOFError, ssl.SSLError, TimeoutError):
                await misdeed(bundle)
            await asyncio.sleep(0.2)

    async def half_open(self, _bundle: Bundle) -> None:
        """Connects and says nothing, or half of a TLS handshake."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        if random.random() < 0.5:  # noqa: S311
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        await reader.read(1)
        writer.close()

    async def slow_connect(self, bundle: Bundle) -> None:
        """Sends a CONNECT a byte every second, over TLS."""
        reader, writer = await asyncio.open_connection(HOST, self.port, ssl=bundle.context)
        for octet in connect(bundle.name):
            writer.write(bytes([octet]))
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 1.0)
                break
        writer.close()

    async def malformed(self, bundle: Bundle) -> None:
        """Sends what is no packet, before or after its CONNECT."""
        if random.random() < 0.5:  # noqa: S311
            reader, writer = await self.open(bundle)
        else:
            reader, writer = await asyncio.open_connection(HOST, self.port, ssl=self.anonymous)
        writer.write(random.randbytes(random.randrange(1, 2_000)))  # noqa: S311
        await asyncio.wait_for(reader.read(), 15)
        writer.close()

    async def flood(self, bundle: Bundle) -> None:
        """Publishes as fast as it is read: to its own topic, and to others' that the policy denies."""
        reader, writer = await self.open(bundle)
        own = publish(f"data/hostile/{bundle.name}/temperature", b"x" * 200) * 50
        while not reader.at_eof():
            writer.write(own)
            await writer.drain()
            if random.random() < 0.001:  # noqa: S311
                writer.write(publish("data/hall-0/press-0001/temperature", b"forged"))

    async def deaf(self, bundle: Bundle) -> None:
        """Subscribes to what the floods publish, asks, and reads nothing."""
        _, writer = await self.open(bundle)
        writer.write(packet(0x82, b"\x00\x01" + text("data/hostile/+/temperature") + b"\x01"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while True:
            writer.write(b"\xc0\x00" * 1_000)
            await writer.drain()
            await asyncio.sleep(0.05)


HOSTILE = (
    "half_open",
    "half_open",
    "half_open",
    "slow_connect",
    "slow_connect",
    "malformed",
    "malformed",
    "flood",
    "flood",
    "deaf",
)
"""Of ten; with more hostile connections the list is gone through again."""


async def enrol(data: Path, names: dict[str, str], ca_file: Path) -> dict[str, Bundle]:
    """An identity, a key and a certificate for every name; `names` gives its role."""
    authority = Authority.load(ca_file, ca_file.with_name("ca.key"))
    store = await SqliteIdentityStore.open(data / "identities.sqlite")
    found, at = {}, datetime.now(UTC)
    try:
        for name, role in names.items():
            identity = new_identity(name, at=at, roles=[role])
            out = data.parent / "bundles" / name
            await enrol_device(store, authority, identity, out, Address(HOST, 8883), at=at)
            context = ssl.create_default_context(cafile=str(ca_file))
            context.load_cert_chain(out / f"{name}.crt", out / f"{name}.key")
            found[name] = Bundle(name, context)
    finally:
        await store.close()
    return found


async def start(data: Path) -> tuple[asyncio.subprocess.Process, int]:
    """`bartizan up` in a process of its own, and the port of its TLS listener."""
    data.mkdir(mode=0o700)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    words = [part for setting in SETTINGS for part in ("--set", setting)]
    program = [sys.executable, "-c", "from bartizan.cli import main; main()", "up", "--json", "--data", str(data)]
    log = (data.parent / "broker.log").open("wb")
    process = await asyncio.create_subprocess_exec(*program, *words, stdout=asyncio.subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 60)
    reader, writer = await asyncio.open_unix_connection(str(data / "control.sock"))
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n")
    status = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
    address = next(item["address"] for item in status["listeners"] if item["name"] == "mqtts")
    return process, int(address.rpartition(":")[2])


def used(pid: int) -> dict[str, float]:
    """Memory, processor time and descriptors of the broker."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        "resident_mib": round(resident / 1_024, 1),
        "processor_s": round((int(fields[11]) + int(fields[12])) / ticks, 1),
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


async def phase(soak: Soak, pid: int, seconds: float) -> dict[str, object]:
    """Lets one phase pass, and says what was felt in it."""
    soak.felt, before = Felt(), used(pid)
    await asyncio.sleep(seconds)
    felt = soak.felt
    soak.felt = Felt()
    await asyncio.sleep(DRAIN_S)
    felt.received.update(soak.felt.received)
    after = used(pid)
    return {"seconds": seconds, **felt.summary(), "before": before, "after": after}


async def run(connections: int, hostile: int, rate: float, quiet_s: float, soak_s: float) -> dict[str, object]:
    """The whole: the quiet phase, then the soak."""
    good = connections - hostile
    dashboards = max(1, good // (HALL_PRESSES + 1))
    presses = good - dashboards
    names = {f"press-{number:04}": "press" for number in range(presses)}
    names |= {f"dash-{number:04}": "dashboard" for number in range(dashboards)}
    names |= {
        f"hostile-{number}": "press" if HOSTILE[number % 10] != "deaf" else "dashboard" for number in range(hostile)
    }
    with tempfile.TemporaryDirectory(prefix="bartizan-soak-") as directory:
        data = Path(directory) / "data"
        process, port = await start(data)
        try:
            ca_file = data / "pki" / "ca.crt"
            bundles = await enrol(data, names, ca_file)
            soak = Soak(port, ssl.create_default_context(cafile=str(ca_file)))
            ready = asyncio.Semaphore(CONNECTIONS_AT_ONCE)
            tasks = [
                asyncio.create_task(soak.dashboard(bundles[f"dash-{number:04}"], f"hall-{number}", ready))
                for number in range(dashboards)
            ]
            for number in range(presses):
                bundle, hall = bundles[f"press-{number:04}"], f"hall-{number % dashboards}"
                tasks.append(asyncio.create_task(soak.press(bundle, hall, presses / rate, ready)))
            await asyncio.sleep(presses / rate + 15)
            quiet = await phase(soak, process.pid, quiet_s)
            for number in range(hostile):
                bundle = bundles[f"hostile-{number}"]
                tasks.append(asyncio.create_task(soak.again(HOSTILE[number % 10], bundle)))
            loud = await phase(soak, process.pid, soak_s)
            soak.is_running = False
            ended = [
                repr(task.exception()) for task in tasks if task.done() and not task.cancelled() and task.exception()
            ]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            process.terminate()
            code = await asyncio.wait_for(process.wait(), 30)
        log = (Path(directory) / "broker.log").read_bytes()
    return {
        "connections": {"good": good, "hostile": hostile, "presses": presses, "dashboards": dashboards},
        "messages_per_s": rate,
        "without_hostile": quiet,
        "with_hostile": loud,
        "misdeeds": dict(soak.misdeeds),
        "tasks_that_failed": ended[:5],
        "exit_code": code,
        "log_bytes": len(log),
        "log_events": dict(Counter(json.loads(line)["event"] for line in log.splitlines() if line.startswith(b"{"))),
    }


def main(words: Sequence[str]) -> int:
    """Runs it and prints the result as JSON; 1 when a good client felt anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--hostile", type=int, default=10)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, in all")
    parser.add_argument("--quiet-minutes", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args(words)
    result = asyncio.run(
        run(asked.connections, asked.hostile, asked.rate, asked.quiet_minutes * 60, asked.minutes * 60)
    )
    print(json.dumps(result, indent=2))
    felt = result["with_hostile"]
    unharmed = felt["lost"] == felt["twice"] == felt["connections_lost"] == 0
    return 0 if unharmed and not result["tasks_that_failed"] and result["exit_code"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
