"""Bartizan from this checkout, with one reactor, and the relay that is the limit of what any broker can reach."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, UnobtainableError, Variant

CHECKOUT = Path(__file__).parents[2]
PROGRAM = CHECKOUT / ".venv/bin/bartizan"
GENERATOR = CHECKOUT / "target/release/bartizan-bench"
OPEN_LAB = CHECKOUT / "examples/open-lab/bartizan.toml"
WAIT_S = 60.0
POLICY = """\
# The generator's clients may use the generator's topics, and nothing else.
[roles.{role}]
permit = [{{ action = "all", filter = "bench/#" }}]
forbid = [{{ action = "publish", filter = "actuators/#", reason = "a forbid that every decision has to look at" }}]
"""
LISTENER = '[listeners.{kind}]\nbind = "127.0.0.1:0"\nloopback_only = true\n'
ANONYMOUS = 'danger_anonymous = "benchmark on loopback: what a password costs is measured beside it"\n'
PLAINTEXT = 'danger_plaintext = "benchmark on loopback: what TLS costs is measured beside it"\n'


def open_limits() -> str:
    """The limits of the open lab: on, counted and decided like any others, and out of the way."""
    text = OPEN_LAB.read_text(encoding="utf-8")
    return text[text.index("[limits]") :]


class Bartizan(Rival):
    """One reactor, Rust; what it decides and administers, Python."""

    name = "bartizan"
    title = "Bartizan"
    source = "this checkout"
    version = ""
    variants: ClassVar = frozenset(Variant)
    remark = "one reactor; secure: identity, password, policy and limits as `bartizan up` makes them, with high numbers"

    def obtain(self) -> None:
        if not PROGRAM.exists():
            raise UnobtainableError("it is not built: make build")
        shutil.rmtree(self.place, ignore_errors=True)
        for variant in (Variant.GUARDED, Variant.TLS, Variant.SECURE):
            self._first_run(variant)

    def launch(self, setting: Setting) -> Launch:
        data = setting.directory / "data"
        if not (setting.guarded or setting.encrypted):
            store = "store.durability=fsync" if setting.variant is Variant.DURABLE else "store.kind=memory"
            bind = f"listeners.mqtt.bind=127.0.0.1:{setting.port}"
            return Launch(self._argv(data, "--config", str(OPEN_LAB), *_set(bind, store)))
        prepared = self.place / setting.variant
        shutil.copytree(prepared / "data", data)
        secret = (prepared / "password").read_text(encoding="utf-8").strip() if setting.guarded else None
        kind = _kind(setting.variant)
        argv = self._argv(data, *_set(f"listeners.{kind}.bind=127.0.0.1:{setting.port}", "store.kind=memory"))
        return Launch(argv, password=secret, ca_file=data / "pki/ca.crt")

    def _argv(self, data: Path, *more: str) -> tuple[str, ...]:
        always = _set("api.bind=off", "broker.cores=1", "broker.sys_interval_s=0", "log.level=warning")
        return (str(PROGRAM), "up", "--data", str(data), "--json", *always, *more)

    def _first_run(self, variant: Variant) -> None:
        """A data directory as the first run makes it, with an identity for the generator."""
        place = self.place / variant
        data = place / "data"
        data.mkdir(parents=True, mode=0o700)
        kind = _kind(variant)
        danger = {Variant.GUARDED: PLAINTEXT, Variant.TLS: ANONYMOUS}.get(variant, "")
        text = f"{LISTENER.format(kind=kind)}{danger}\n{open_limits()}"
        role = "anonymous" if variant is Variant.TLS else "bench"
        (data / "bartizan.toml").write_text(text, encoding="utf-8")
        (data / "policy.toml").write_text(POLICY.format(role=role), encoding="utf-8")
        with self._running(data):
            if variant is Variant.TLS:
                return
            words = [str(PROGRAM), "enrol", "bench", "--role", "bench", "--password", "--json"]
            argv = [*words, "--data", str(data), "--out", str(place / "bundle"), "--port", "1"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S, check=False)  # noqa: S603
        if done.returncode != 0:
            raise UnobtainableError(f"bartizan enrol failed: {done.stderr.strip()}")
        (place / "password").write_text(json.loads(done.stdout)["password"], encoding="utf-8")

    @contextmanager
    def _running(self, data: Path) -> Iterator[None]:
        """A broker that has finished its first run; it is stopped at the end."""
        log = self.place / "first-run.log"
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(  # noqa: S603
                self._argv(data, *_set("store.kind=memory")), stdout=subprocess.PIPE, stderr=out, text=True
            )
            try:
                deadline = time.monotonic() + WAIT_S
                while process.poll() is None and time.monotonic() < deadline:
                    if process.stdout is not None and process.stdout.readline():
                        yield
                        return
                raise UnobtainableError(log.read_text(encoding="utf-8").strip() or "bartizan up did not start")
            finally:
                process.terminate()
                process.wait(WAIT_S)


class Relay(Rival):
    """Copies messages from publisher to subscriber: the least that any broker must do."""

    name = "relay"
    title = "relay (the limit)"
    source = "this checkout"
    version = ""
    lacks: ClassVar = {Variant.GUARDED: "it knows no identities", Variant.DURABLE: "it keeps nothing"}
    unable: ClassVar = {
        "retained": "it keeps no messages",
        "subs_1m": "it looks a new topic up by walking over all filters",
    }
    remark = "not a broker: it copies messages, and lets everybody in"

    def obtain(self) -> None:
        if not GENERATOR.exists():
            raise UnobtainableError("it is not built: cargo build --release -p bartizan-bench")

    def launch(self, setting: Setting) -> Launch:
        files = setting.certificates
        tls = ("--cert", str(files.chain), "--key", str(files.key)) if setting.encrypted else ()
        return Launch((str(GENERATOR), "relay", "--port", str(setting.port), *tls))


def _kind(variant: Variant) -> str:
    return "mqtt" if variant is Variant.GUARDED else "mqtts"


def _set(*settings: str) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("--set", setting))
