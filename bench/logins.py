"""What letting a client in costs, by what proves who it is; and ten thousand that come back at once.

    .venv/bin/python -m bench.logins --seconds 3 --repeat 3 > logins.jsonl

TCP, CONNECT, CONNACK, DISCONNECT on loopback without TLS, 50 at once, one identity; `certificate` with full TLS
handshakes, and `nobody, over TLS` to compare it with. One core for the broker, Python's part of it included; the
other for the generator. One JSON line for each run; the table for people goes to standard error at the end.
"""

import argparse
import base64
import contextlib
import json
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from bartizan.pki.bundle import Bundle
from bench.generator import door_words
from bench.process import HOST, Cores, Door, Running, free_ports, pinned, running, wait_ready
from bench.records import parse_line
from bench.rivals.bartizan import GENERATOR, PROGRAM, open_limits
from bench.run import allow_descriptors

ISSUER = "https://id.example"
HOUR_S = 3_600
WITHIN_S = 60.0
CROWD = 10_000
CROWD_WITHIN_S = 900.0
"""The first time each of them costs a hash."""
WARM_UP_S = 1.0
POLICY = """\
[roles.bench]
permit = [{ action = "all", filter = "bench/#" }]
[roles.anonymous]
permit = [{ action = "all", filter = "bench/#" }]
"""
DANGER = 'danger_plaintext = "benchmark on loopback: what TLS costs is measured beside it"\n'
ANONYMOUS = 'danger_anonymous = "benchmark on loopback: what a proof costs is measured beside it"\n'
LISTENER = '[listeners.{kind}]\nbind = "127.0.0.1:{port}"\nloopback_only = true\n'


@dataclass(frozen=True, slots=True)
class Made:
    """What the first run and the programs beside it gave."""

    data: Path
    unknown: Path
    """The same before there was an identity: its Client Identifiers are nobody else's."""
    bundle: Path
    password: str
    token: str
    keys_file: Path
    secret_file: Path
    provider_port: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prove an identity, as it is configured and shown."""

    name: str
    authentication: str = ""
    """The entry of the listener; empty: nothing is asked."""
    table: str = ""
    shows: str = "password"
    """What stands in Password: `password`, `token`, or nothing."""
    remembered_s: int = 0
    is_tls: bool = False


JWT = '[authenticators.tokens]\nkind = "jwt"\nissuer = "{issuer}"\naudience = ["bartizan"]\njwks_file = "{keys_file}"\n'
INTROSPECTION = """\
[authenticators.asked]
kind = "introspection"
client_id = "bartizan"
audience = ["bartizan"]
token_in = "password"
introspection_url = "http://127.0.0.1:{provider_port}/introspect"
danger_plaintext_introspection = "benchmark on loopback"
client_secret_file = "{secret_file}"
remembered_s = {asked_again_s}
"""
WAYS = (
    Way("nobody", shows=""),
    Way("password, hashed every time", "password"),
    Way("JWT (ES256) as Password", "tokens", JWT, "token"),
    Way("introspection, asked every time", "asked", INTROSPECTION.replace("{asked_again_s}", "0"), "token"),
    Way("introspection, remembered", "asked", INTROSPECTION.replace("{asked_again_s}", "60"), "token"),
    Way("nobody, over TLS", shows="", is_tls=True),
    Way("certificate", "certificate", shows="", is_tls=True),
)

REMEMBERED = Way("password, remembered", "password", remembered_s=HOUR_S)
"""For the crowd alone: those that come and go come from ever other addresses, and are known at none."""


class Provider(BaseHTTPRequestHandler):
    """Says of every token that it is good; as little work as an issuer can have."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """RFC 7662, 2.2."""
        self.rfile.read(int(self.headers["content-length"]))
        said = {"active": True, "sub": "bench", "aud": "bartizan", "exp": int(time.time()) + HOUR_S}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # pyrefly: ignore[missing-override-decorator]
        """Nothing."""


@contextlib.contextmanager
def provider() -> Iterator[int]:
    """An issuer on loopback; its port."""
    server = ThreadingHTTPServer((HOST, 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def command(data: Path, *more: str) -> list[str]:
    """The broker with one reactor."""
    settings = ("broker.cores=1", "broker.sys_interval_s=0", "log.level=error", "store.kind=memory")
    words = [word for setting in settings for word in ("--set", setting)]
    return [str(PROGRAM), "up", "--data", str(data), "--json", *words, *more]


def first_run(place: Path, port: int) -> Made:
    """A data directory with one identity that has a password and a certificate, and what a token needs."""
    data, bundle = place / "data", place / "bundle"
    data.mkdir(mode=0o700)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    (data / "bartizan.toml").write_text(LISTENER.format(kind="mqtts", port=0) + open_limits(), encoding="utf-8")
    with running(command(data), core=0, directory=place) as one:
        deadline = time.monotonic() + WITHIN_S
        while not (data / "control.sock").exists():
            if not one.is_alive() or time.monotonic() > deadline:
                raise SystemExit(f"bartizan up did not start: {one.last_words()}")
            time.sleep(0.1)
    unknown = Path(shutil.copytree(data, place / "unknown"))
    asked("enrol", "bench", "--role", "bench", "--out", str(bundle), "--port", "1", "--data", str(data))
    secret, password_file = secrets.token_urlsafe(18), place / "password"
    password_file.touch(0o600)
    password_file.write_text(f"{secret}\n", encoding="utf-8")
    asked("passwd", "bench", "--password-file", str(password_file), "--data", str(data))
    key = ECKey.generate_key("P-256", {"kid": "bench", "alg": "ES256", "use": "sig"})
    claims = {"iss": ISSUER, "sub": "bench", "aud": "bartizan", "exp": int(time.time()) + HOUR_S}
    keys_file, secret_file = place / "keys.json", place / "secret"
    keys_file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}), encoding="utf-8")
    secret_file.touch(0o600)
    secret_file.write_text(base64.b64encode(b"asks for the benchmark").decode(), encoding="utf-8")
    token = jwt.encode({"alg": "ES256", "kid": "bench"}, claims, key)
    return Made(data, unknown, bundle, secret, token, keys_file, secret_file, port)


def asked(*words: str) -> str:
    """What a command of Bartizan prints."""
    done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, timeout=WITHIN_S, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"bartizan {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def broker(made: Made, way: Way, cores: Cores, place: Path) -> Iterator[tuple[Running, Door]]:
    """The broker, configured for one way."""
    (port,) = free_ports(1)
    directory = Path(tempfile.mkdtemp(dir=place))
    data = directory / "data"
    shutil.copytree(made.data if way.authentication else made.unknown, data)
    text = LISTENER.format(kind="mqtts" if way.is_tls else "mqtt", port=port) + ("" if way.is_tls else DANGER)
    text += f'authentication = ["{way.authentication}"]\n' if way.authentication else ANONYMOUS
    table = way.table.format(
        issuer=ISSUER, keys_file=made.keys_file, secret_file=made.secret_file, provider_port=made.provider_port
    )
    always = f"[broker]\nsuccess_remembered_s = {way.remembered_s}\n"
    (data / "bartizan.toml").write_text(f"{text}{always}{table}{open_limits()}", encoding="utf-8")
    secret = {"password": made.password, "token": made.token}.get(way.shows)
    door = Door(port, "3.1.1", data / "pki/ca.crt" if way.is_tls else None, "bench" if secret else None, secret)
    with running(command(data), core=cores.broker, directory=directory) as one:
        if way.authentication == "certificate":
            # Nobody gets in without one, so a plain greeting proves nothing: the port has to listen.
            asked_until_listening(port)
        else:
            wait_ready(one, door)
        yield one, door
    shutil.rmtree(directory, ignore_errors=True)


def asked_until_listening(port: int) -> None:
    """Returns once somebody accepts connections there."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
            return
        time.sleep(0.05)
    raise SystemExit("nothing listens")


def measured(made: Made, way: Way, cores: Cores, place: Path, seconds: float) -> dict[str, Any]:
    """Clients that come and go for so many seconds."""
    with broker(made, way, cores, place) as (one, door):
        return line_of(made, way, cores, one, door, place, "--warmup", f"{WARM_UP_S:g}", "--seconds", f"{seconds:g}")


def crowd(made: Made, way: Way, cores: Cores, place: Path) -> list[dict[str, Any]]:
    """Ten thousand that come, and come again: the second time their credential is known to be good."""
    with broker(made, way, cores, place) as (one, door):
        words = ("--connections", str(CROWD), "--warmup", "0.1", "--seconds", "0.1")
        return [
            line_of(made, way, cores, one, door, place, *words, scenario="idle", within_s=CROWD_WITHIN_S)
            for _ in range(2)
        ]


def line_of(  # noqa: PLR0913  one of each
    made: Made,
    way: Way,
    cores: Cores,
    one: Running,
    door: Door,
    place: Path,
    *more: str,
    scenario: str = "",
    within_s: float = WITHIN_S,
) -> dict[str, Any]:
    """What the generator says of one run."""
    words = [scenario or ("tls_handshakes_full" if way.is_tls else "connects"), *door_words(door, place), *more]
    if way.authentication == "certificate":
        bundle = Bundle.load(made.bundle)
        words += [
            "--cert",
            str(made.bundle / (bundle.certificate or "")),
            "--key",
            str(made.bundle / (bundle.key or "")),
        ]
    words += [word for pid in one.pids() for word in ("--pid", str(pid))]
    argv = pinned(cores.generator, [str(GENERATOR), "run", *words, "--stall", f"{within_s:g}", "--quiet"])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within_s * 3, check=False)  # noqa: S603
    line = parse_line(done.stdout)
    if not line or line.get("error"):
        raise SystemExit(f"{way.name}: {line.get('error') or done.stderr.strip()}; {one.last_words()}")
    return line


def table(lines: Mapping[str, Sequence[Mapping[str, Any]]], crowds: Sequence[Mapping[str, Any]]) -> str:
    """For people: medians, and in parentheses the least and the most."""
    rows = ["| proved by | connects per CPU-second | by the clock | to CONNACK, p50 | p99 |", "|---|---|---|---|---|"]
    for name, each in lines.items():
        rates = sorted(float(line["per_cpu_s"]) for line in each)
        p50, p99 = (statistics.median(line["latency_us"][share] for line in each) / 1e3 for share in ("p50", "p99"))
        clock = statistics.median(float(line["per_s"]) for line in each)
        spread = f"{statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
        rows.append(f"| {name} | {spread} | {clock:,.0f} | {p50:.1f} ms | {p99:.1f} ms |")
    for line in crowds:
        setup = line["setup"]
        took = f"{setup['count']:,} in {setup['seconds']:.2f} s, {setup['broker_cpu_s']:.2f} s of CPU"
        rows.append(f"\n{line['label']}: {took}")
    return "\n".join(rows)


def main() -> None:
    """Measures all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measurement in each run (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (%(default)s)")
    words = parser.parse_args()
    allow_descriptors()
    cores = Cores.choose()
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    crowds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bartizan-logins-") as made_in, provider() as port:
        place = Path(made_in)
        made = first_run(place, port)
        for repetition in range(words.repeat):
            for way in WAYS:
                line = {"way": way.name, "repetition": repetition} | measured(made, way, cores, place, words.seconds)
                lines[way.name].append(line)
                print(json.dumps(line), flush=True)
        for label, line in zip(("first", "again"), crowd(made, REMEMBERED, cores, place), strict=True):
            crowds.append({"way": REMEMBERED.name, **line, "label": label})
            print(json.dumps(crowds[-1]), flush=True)
    print(table(lines, crowds), file=sys.stderr)


if __name__ == "__main__":
    main()
