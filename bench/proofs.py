"""The ways to prove who a client is, as `bench.logins` configures a broker for each, and what each needs.

A first run makes one identity, `bench`, that has a password, keys for SCRAM and a certificate; copies of that data
directory serve every way. Whoever judges outside is started beside it (`bench.judges`).
"""

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey

from bench.certificates import make_certificates
from bench.judges import HOUR_S, NAME, SUFFIX, WITHIN_S, accounts_file, directory, service
from bench.process import running
from bench.rivals.bartizan import PROGRAM, open_limits

ISSUER = "https://id.example"
POLICY = """\
[roles.bench]
permit = [{ action = "all", filter = "bench/#" }]
[roles.anonymous]
permit = [{ action = "all", filter = "bench/#" }]
"""
LISTENER = '[listeners.{kind}]\nbind = "127.0.0.1:{port}"\nloopback_only = true\n'

DANGER = 'danger_plaintext = "benchmark on loopback: what TLS costs is measured beside it"\n'
ANONYMOUS = 'danger_anonymous = "benchmark on loopback: what a proof costs is measured beside it"\n'


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prove an identity, as it is configured and shown."""

    name: str
    authentication: str = ""
    """The entry of the listener; empty: nothing is asked."""
    table: str = ""
    """What stands in the configuration for it; names in braces are `Made.words`."""
    shows: str = "password"
    """What stands in Password: `password`, `token`, or nothing."""
    method: str = ""
    """By what the password is proved instead of being sent."""
    needs: str = ""
    """One of `Made.words`, without which it is left out."""
    remembered_s: int = 0
    sources: int = 100
    """Addresses that clients come from; a success is remembered for each."""
    is_tls: bool = False

    @property
    def greets(self) -> bool:
        """Whether a plain CONNECT is let in, so that it shows that the broker is ready."""
        return self.authentication != "certificate" and not self.method

    def configuration(self, port: int, words: Mapping[str, str]) -> str:
        """What the broker is told: a listener on this port, and limits out of the way."""
        text = LISTENER.format(kind="mqtts" if self.is_tls else "mqtt", port=port) + ("" if self.is_tls else DANGER)
        text += f'authentication = ["{self.authentication}"]\n' if self.authentication else ANONYMOUS
        always = f"[broker]\nsuccess_remembered_s = {self.remembered_s}\n"
        return f"{text}{always}{self.table.format_map(words)}{open_limits()}"


JWT = '[authenticators.tokens]\nkind = "jwt"\nissuer = "{issuer}"\naudience = ["bartizan"]\njwks_file = "{keys_file}"\n'
INTROSPECTION = """\
[authenticators.asked]
kind = "introspection"
client_id = "bartizan"
audience = ["bartizan"]
token_in = "password"
introspection_url = "http://127.0.0.1:{issuer_port}/introspect"
danger_plaintext_introspection = "benchmark on loopback"
client_secret_file = "{secret_file}"
"""
SCRAM = '[authenticators.keys]\nkind = "scram"\nmechanisms = ["SCRAM-SHA-256"]\n'
LDAP = """\
[authenticators.staff]
kind = "ldap"
ldap_url = "ldaps://127.0.0.1:{directory_port}"
ca_file = "{ca_file}"
user_dn = "uid={{user_name}},{suffix}"
remembered_s = 0
"""
WEBHOOK = """\
[authenticators.service]
kind = "webhook"
webhook_url = "https://127.0.0.1:{service_port}/judge"
ca_file = "{ca_file}"
secret_file = "{secret_file}"
remembered_s = 0
"""
SQL = """\
[authenticators.devices]
kind = "sql"
sqlite_file = "{accounts_file}"
query = "SELECT name AS identity, COLUMN AS hash FROM devices WHERE name = :user_name"
remembered_s = SECONDS
"""
NOBODY = Way("nothing", shows="")
KNOWN = Way(
    "account in SQL, remembered",
    "devices",
    SQL.replace("COLUMN", "mosquitto").replace("SECONDS", str(HOUR_S)),
    remembered_s=HOUR_S,
    sources=20,
)
"""The engine remembers every User Name and Password alike, and these cost little the first time, which is once for each
Client Identifier at each address.
"""
WAYS = (
    NOBODY,
    Way("password (argon2id), hashed every time", "password"),
    Way("SCRAM-SHA-256", "keys", SCRAM, method="SCRAM-SHA-256"),
    Way("JWT (ES256) as Password", "tokens", JWT, "token"),
    Way("introspection, asked every time", "asked", INTROSPECTION + "remembered_s = 0\n", "token"),
    Way("introspection, remembered", "asked", INTROSPECTION + "remembered_s = 60\n", "token"),
    Way("LDAP over TLS, bound every time", "staff", LDAP, needs="directory_port"),
    Way("webhook over TLS, asked every time", "service", WEBHOOK),
    Way("SQL (SQLite), argon2id", "devices", SQL.replace("COLUMN", "argon2id").replace("SECONDS", "0")),
    Way("SQL (SQLite), Mosquitto's `$7$`", "devices", SQL.replace("COLUMN", "mosquitto").replace("SECONDS", "0")),
    KNOWN,
    Way("nothing, over TLS with full handshakes", shows="", is_tls=True),
    Way("certificate, with full handshakes", "certificate", shows="", is_tls=True),
)


@dataclass(frozen=True, slots=True)
class Made:
    """What the first run and the programs beside it gave."""

    data: Path
    unknown: Path
    """The same before there was an identity: its Client Identifiers are nobody else's."""
    bundle: Path
    secrets: Mapping[str, str]
    """What a client shows, by `Way.shows`."""
    words: Mapping[str, str]
    """What tables name."""

    def __repr__(self) -> str:
        return f"Made({self.data})"


def command(data: Path, *more: str) -> list[str]:
    """The broker with one reactor."""
    settings = ("api.bind=off", "broker.cores=1", "broker.sys_interval_s=0", "log.level=error", "store.kind=memory")
    words = [word for setting in settings for word in ("--set", setting)]
    return [str(PROGRAM), "up", "--data", str(data), "--json", *words, *more]


def asked(*words: str) -> str:
    """What a command of Bartizan prints."""
    done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, timeout=WITHIN_S, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"bartizan {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def made(place: Path, core: int) -> Iterator[Made]:
    """Everything that the ways need; programs run on this core."""
    data, unknown, bundle = place / "data", place / "unknown", place / "bundle"
    _first_run(place, data, core)
    shutil.copytree(data, unknown)
    password = secrets.token_urlsafe(18)
    asked("enrol", NAME, "--role", NAME, "--out", str(bundle), "--port", "1", "--data", str(data))
    password_file = _private(place / "password", f"{password}\n")
    words = ("--scram", "sha-256", "--with-hash", "--password-file", str(password_file), "--data", str(data))
    asked("passwd", NAME, *words)
    keys_file, token = _issued(place)
    certificates = make_certificates(place / "certificates")
    known = {
        "issuer": ISSUER,
        "suffix": SUFFIX,
        "keys_file": str(keys_file),
        "secret_file": str(_private(place / "secret", secrets.token_hex(32))),
        "ca_file": str(certificates.ca),
        "accounts_file": str(accounts_file(place, password)),
    }
    with (
        service() as issuer_port,
        service(certificates) as service_port,
        directory(place / "directory", core, certificates, password) as directory_port,
    ):
        known |= {"issuer_port": str(issuer_port), "service_port": str(service_port)}
        known |= {} if directory_port is None else {"directory_port": str(directory_port)}
        yield Made(data, unknown, bundle, {"password": password, "token": token}, known)


def _first_run(place: Path, data: Path, core: int) -> None:
    data.mkdir(mode=0o700)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    (data / "bartizan.toml").write_text(LISTENER.format(kind="mqtts", port=0) + open_limits(), encoding="utf-8")
    with running(command(data), core=core, directory=place) as one:
        deadline = time.monotonic() + WITHIN_S
        while not (data / "control.sock").exists():
            if not one.is_alive() or time.monotonic() > deadline:
                raise SystemExit(f"bartizan up did not start: {one.last_words()}")
            time.sleep(0.1)


def _issued(place: Path) -> tuple[Path, str]:
    """An issuer's keys, and a token of it."""
    key = ECKey.generate_key("P-256", {"kid": "bench", "alg": "ES256", "use": "sig"})
    claims = {"iss": ISSUER, "sub": NAME, "aud": "bartizan", "exp": int(time.time()) + 24 * HOUR_S}
    keys_file = place / "keys.json"
    keys_file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}), encoding="utf-8")
    return keys_file, jwt.encode({"alg": "ES256", "kid": "bench"}, claims, key)


def _private(file: Path, text: str) -> Path:
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")
    return file
