"""What identities cost: an import, the start of a broker, memory, a change handed to the engine.

    .venv/bin/python -m bench.identities --count 100000
    .venv/bin/python -m bench.identities --count 1000000 --credential password

One line of JSON. Every identity has one role, two attributes and one credential. The import is what
`bartizan identity import` does; the rest happens in a process of its own, so that its memory is what a broker has.
"""

import argparse
import asyncio
import csv
import gc
import json
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bartizan.broker.directory import LiveDirectory, enabled_json
from bartizan.identity.csv_file import import_lines, read_lines
from bartizan.store.ports import IdentityStore
from bartizan.store.postgres import PostgresIdentityStore
from bartizan.store.sqlite import SqliteIdentityStore

AT = datetime.now(UTC)
PAGE_BYTES = 4_096
READS = 100_000


def credential(kind: str) -> str:
    """One credential as the CSV column `credentials` has it, as large as a real one."""
    record = {"id": secrets.token_hex(8), "kind": kind, "created_at": AT.isoformat()}
    if kind == "password":
        salt, key = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        record["hash"] = f"$argon2id$v=19$m=19456,t=2,p=1${salt}${key}"
    else:
        record |= {"fingerprint_sha256": secrets.token_hex(32), "serial_hex": secrets.token_hex(20)}
        record["not_after"] = (AT + timedelta(365)).isoformat()
    return json.dumps([record])


def write_file(path: Path, count: int, kind: str, roles: int = 0) -> None:
    """A plant of presses: all of one role, or each of one of several."""
    with path.open("w", encoding="utf-8", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["name", "roles", "attr.line", "attr.site", "note", "credentials"])
        for at in range(count):
            role = f"press-{at % roles:05}" if roles else "press"
            rows.writerow([f"press-{at:07}", role, f"l{at % 1_000}", "chicago", "hall 2", credential(kind)])


async def opened(target: str, password_file: Path | None) -> IdentityStore:
    """The store at a path, or at an address."""
    if "://" not in target:
        return await SqliteIdentityStore.open(Path(target))
    password = None if password_file is None else password_file.read_text(encoding="utf-8").strip()
    return await PostgresIdentityStore.open(target, password)


async def bring(target: str, password_file: Path | None, file: Path) -> float:
    """Seconds of an import."""
    store = await opened(target, password_file)
    started = time.perf_counter()
    with file.open(encoding="utf-8", newline="") as text:
        await import_lines(store, read_lines(text), at=AT)
    took = time.perf_counter() - started
    await store.close()
    return took


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * PAGE_BYTES


async def load(target: str, password_file: Path | None) -> dict[str, float]:
    """What a broker does with them."""
    store = await opened(target, password_file)
    directory = LiveDirectory(store)
    before, started = resident(), time.perf_counter()
    await directory.load()
    took = time.perf_counter() - started
    each = (resident() - before) / len(directory)
    names = list(directory.snapshot().records)[:READS]
    started = time.perf_counter()
    for name in names:
        await directory.get(name)
    read = time.perf_counter() - started
    started = time.perf_counter()
    entries = enabled_json(directory.snapshot(), AT)
    applied = time.perf_counter() - started
    await store.close()
    return {
        "load_s": round(took, 2),
        "memory_bytes_each": round(each),
        "read_us_each": round(read / len(names) * 1e6, 1),
        "to_engine_s": round(applied, 2),
        "to_engine_bytes": len(entries),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="how many identities")
    parser.add_argument("--credential", choices=["certificate", "password"], default="certificate")
    parser.add_argument("--postgres", help="an empty database instead of SQLite: postgresql://...")
    parser.add_argument("--password-file", type=Path, help="with the password of that database")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.load is not None:
        print(json.dumps(asyncio.run(load(words.load, words.password_file))))
        return
    with tempfile.TemporaryDirectory(prefix="bartizan-identities-") as place:
        file = Path(place) / "identities.csv"
        write_file(file, words.count, words.credential)
        target = words.postgres or str(Path(place) / "identities.sqlite")
        store = "postgresql" if words.postgres else "sqlite"
        figures = {"count": words.count, "credential": words.credential, "store": store}
        figures["import_s"] = round(asyncio.run(bring(target, words.password_file, file)), 2)
        more = ["--password-file", str(words.password_file)] if words.password_file else []
        command = [sys.executable, "-m", "bench.identities", "--load", target, *more]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  ourselves
        print(json.dumps(figures | json.loads(done.stdout)))


if __name__ == "__main__":
    main()
