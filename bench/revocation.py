"""How soon a revoked client is out: from the call until the last byte that reaches it, with a crowd connected.

    .venv/bin/python -m bench.revocation --clients 10000 --revoked 200 > revocation.json

Each of those that are revoked is connected over TLS with a password and receives messages all the time; one after the
other is revoked by the broker's control socket. The last byte is the end of its connection, as the client sees it. One core
for the broker, the other for everybody else: how late these are to look is in the figures. One line of JSON.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import os
import secrets
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bartizan.cli.control import asking
from bartizan.identity.passwords import hash_password
from bench.identities import bring
from bench.ports import free_ports
from bench.process import HOST, Cores, Door, connect_packet, running, wait_ready
from bench.proofs import command
from bench.rivals.bartizan import ANONYMOUS, PLAINTEXT, open_limits
from bench.run import allow_descriptors
from bench.scale import is_ready, waited

POLICY = """\
[roles.press]
permit = [{ action = "subscribe", filter = "plant/#" }]
[roles.anonymous]
permit = [{ action = "all", filter = "bench/#" }, { action = "publish", filter = "plant/#" }]
"""
LISTENERS = """\
[listeners.mqtt]
bind = "127.0.0.1:{plain}"
loopback_only = true
{danger}
[listeners.mqtts]
bind = "127.0.0.1:{tls}"
loopback_only = true
authentication = ["password"]
"""
EVERY_S = 0.02
"""Between two messages to all who are still in."""
WITHIN_S = 120.0
CONNACK_BYTES = 4
SUBACK_BYTES = 5
READ_BYTES = 65_536
SUBSCRIBE = b"\x82\x0c\x00\x01\x00\x07plant/#\x00"
PUBLISH = b"\x30\x4b\x00\x09plant/all" + bytes(64)


async def come(door: Door) -> asyncio.Task[float]:
    """A client that is in and subscribed; the task ends with its connection, and says when that was."""
    context = ssl.create_default_context(cafile=str(door.ca_file))
    reader, writer = await asyncio.open_connection(HOST, door.port, ssl=context, server_hostname="localhost")
    writer.write(connect_packet(door, str(door.user)) + SUBSCRIBE)
    await asyncio.wait_for(reader.readexactly(CONNACK_BYTES + SUBACK_BYTES), WITHIN_S)

    async def listen() -> float:
        with contextlib.suppress(OSError):
            while await reader.read(READ_BYTES):
                pass
        writer.close()
        return time.monotonic()

    return asyncio.create_task(listen())


@dataclass(frozen=True, slots=True)
class Revoked:
    """One revocation, in seconds from the call."""

    last_byte_s: float
    answer_s: float


def share(values: Sequence[float], part: float) -> float:
    """The value below which this part of them is, in milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e3, 1)


def figures(values: Sequence[float]) -> dict[str, float]:
    """Of several times, those that are published."""
    return {"p50_ms": share(values, 0.5), "p99_ms": share(values, 0.99), "max_ms": share(values, 1.0)}


def first_run(place: Path, revoked: int, ports: tuple[int, int], core: int) -> tuple[Path, str]:
    """A data directory with identities that share a password, and that password."""
    data, password = place / "data", secrets.token_urlsafe(18)
    data.mkdir(mode=0o700)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    listeners = LISTENERS.format(plain=ports[0], tls=ports[1], danger=PLAINTEXT + ANONYMOUS)
    (data / "bartizan.toml").write_text(listeners + open_limits(), encoding="utf-8")
    with running(command(data), core=core, directory=place) as one:
        waited(one, lambda: is_ready(data))
    file, hashed = place / "presses.csv", hash_password(password)
    with file.open("w", encoding="utf-8", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["name", "roles", "password_hash"])
        rows.writerows([f"press-{at:04}", "press", hashed] for at in range(revoked))
    asyncio.run(bring(str(data / "identities.sqlite"), None, file))
    return data, password


@contextlib.contextmanager
def crowd(port: int, count: int) -> Iterator[None]:
    """So many clients, connected and silent, for less than their Keep Alive."""
    with contextlib.ExitStack() as all_of_them:
        for at in range(count):
            one = all_of_them.enter_context(socket.create_connection((HOST, port), timeout=WITHIN_S))
            one.sendall(connect_packet(Door(port), f"crowd-{at:05}"))
            if one.recv(4, socket.MSG_WAITALL) != b"\x20\x02\x00\x00":
                raise SystemExit(f"client {at} of the crowd is not let in")
        yield


@contextlib.asynccontextmanager
async def talking(port: int) -> AsyncIterator[None]:
    """Somebody who publishes to all all the time."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(connect_packet(Door(port)))
    await reader.readexactly(4)

    async def talk() -> None:
        while True:
            writer.write(PUBLISH)
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        writer.close()


def call(client: httpx2.Client, name: str) -> tuple[float, float]:
    """Revokes it; when that began and when it was answered."""
    began = time.monotonic()
    client.post(f"/v1/identities/{name}/revoke", json={"note": "measured"}, timeout=WITHIN_S).raise_for_status()
    return began, time.monotonic()


async def revocations(data: Path, door: Door, plain: int, clients: int, count: int) -> list[Revoked]:
    """All come, all listen, one after the other is revoked."""
    done: list[Revoked] = []
    doors = (Door(door.port, door.mqtt, door.ca_file, f"press-{at:04}", door.password) for at in range(count))
    presses = [await come(each) for each in doors]
    with crowd(plain, clients), asking(data) as client:
        async with talking(plain):
            for at, press in enumerate(presses):
                began, answered = await asyncio.to_thread(call, client, f"press-{at:04}")
                gone = await asyncio.wait_for(press, WITHIN_S)
                done.append(Revoked(gone - began, answered - began))
    return done


def measured(clients: int, revoked: int) -> dict[str, Any]:
    """The whole of it."""
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.generator})
    with tempfile.TemporaryDirectory(prefix="bartizan-revocation-") as made_in:
        place = Path(made_in)
        plain, tls = free_ports(2)
        data, password = first_run(place, revoked, (plain, tls), cores.broker)
        door = Door(tls, "3.1.1", data / "pki/ca.crt", "press", password)
        with running(command(data), core=cores.broker, directory=place) as one:
            wait_ready(one, Door(plain))
            done = asyncio.run(revocations(data, door, plain, clients, revoked))
        return {
            "clients": clients + revoked,
            "revoked": revoked,
            "last_byte": figures([each.last_byte_s for each in done]),
            "answer": figures([each.answer_s for each in done]),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000, help="connected beside those that are revoked")
    parser.add_argument("--revoked", type=int, default=200, help="one after the other (%(default)s)")
    words = parser.parse_args()
    allow_descriptors()
    print(json.dumps(measured(words.clients, words.revoked)))


if __name__ == "__main__":
    main()
