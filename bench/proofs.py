"""The ways to prove who a client is, as `bench.logins` configures a broker for each, and what each needs.

A first run makes one identity, `bench`, that has a password, keys for SCRAM and a certificate; copies of that data
directory serve every way. Whoever judges outside is started beside it (`bench.judges`).
"""

import contextlib
import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey

from bartizan.pki.bundle import Bundle
from bartizan.pki.ca import Authority
from bench.certificates import make_certificates
from bench.judges import HOUR_S, NAME, OCSP, SUFFIX, WITHIN_S, accounts_file, database, directory, good, service
from bench.process import running
from bench.rivals.bartizan import PROGRAM, open_limits

ISSUER = "https://id.example"
RSA_BITS = 2_048
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
    """What stands in Password: `password`, a token by its algorithm, or nothing."""
    method: str = ""
    """By what the password is proved instead of being sent."""
    needs: str = ""
    """One of `Made.words`, without which it is left out."""
    remembered_s: int = 0
    sources: int = 100
    """Addresses that clients come from; a success is remembered for each."""
    is_tls: bool = False
    listener: str = ""
    """What stands beside in the table of the listener."""

    @property
    def shows_certificate(self) -> bool:
        """Whether a client has to bring one."""
        return "certificate" in self.authentication.split(" + ")

    @property
    def greets(self) -> bool:
        """Whether a plain CONNECT is let in, so that it shows that the broker is ready."""
        return not self.shows_certificate and not self.method

    @property
    def proved_by(self) -> str:
        """The method by which the broker counts who is let in."""
        kinds = dict(KIND.findall(self.table))
        return "+".join(kinds.get(name, name) for name in self.authentication.split(" + ")) or "anonymous"

    def configuration(self, port: int, words: Mapping[str, str]) -> str:
        """What the broker is told: a listener on this port, and limits out of the way."""
        text = LISTENER.format(kind="mqtts" if self.is_tls else "mqtt", port=port) + ("" if self.is_tls else DANGER)
        text += f'authentication = ["{self.authentication}"]\n' if self.authentication else ANONYMOUS
        text += self.listener.format_map(words)
        always = f"[broker]\nsuccess_remembered_s = {self.remembered_s}\n"
        return f"{text}{always}{self.table.format_map(words)}{open_limits()}"


KIND = re.compile(r'\[authenticators\.(\w+)\]\nkind = "(\w+)"')
"""The name of an authenticator, and what it is."""
JWT = '[authenticators.tokens]\nkind = "jwt"\nissuer = "{issuer}"\naudience = ["bartizan"]\njwks_file = "{keys_file}"\nalgorithms = ["ALGORITHM"]\n'
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
ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
SCRAM = '[authenticators.keys]\nkind = "scram"\nmechanisms = ["{mechanism}"]\n'
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
POSTGRES = """\
[authenticators.devices]
kind = "sql"
database = "{database}"
database_password_file = "{database_password_file}"
query = "SELECT name AS identity, mosquitto AS hash FROM devices WHERE name = :user_name"
remembered_s = 0
"""
ASKED_EVERY_TIME = """\
client_ca_file = "{client_ca_file}"
ocsp = "required"
ocsp_url = "http://127.0.0.1:{responder_port}/ocsp"
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
    *(Way(one, "keys", SCRAM.format(mechanism=one), method=one) for one in ("SCRAM-SHA-256", "SCRAM-SHA-512")),
    *(Way(f"JWT ({one}) as Password", "tokens", JWT.replace("ALGORITHM", one), one) for one in ALGORITHMS),
    Way("introspection, asked every time", "asked", INTROSPECTION + "remembered_s = 0\n", "ES256"),
    Way("introspection, remembered", "asked", INTROSPECTION + "remembered_s = 60\n", "ES256"),
    Way("LDAP over TLS, bound every time", "staff", LDAP, needs="directory_port"),
    Way("webhook over TLS, asked every time", "service", WEBHOOK),
    Way("SQL (SQLite), argon2id", "devices", SQL.replace("COLUMN", "argon2id").replace("SECONDS", "0")),
    Way("SQL (SQLite), Mosquitto's `$7$`", "devices", SQL.replace("COLUMN", "mosquitto").replace("SECONDS", "0")),
    Way("SQL (PostgreSQL), Mosquitto's `$7$`", "devices", POSTGRES, needs="database"),
    KNOWN,
    Way("nothing, over TLS with full handshakes", shows="", is_tls=True),
    Way("certificate, with full handshakes", "certificate", shows="", is_tls=True),
    Way("certificate, OCSP asked every time", "certificate", shows="", is_tls=True, listener=ASKED_EVERY_TIME),
    Way("certificate + JWT (ES256)", "certificate + tokens", JWT.replace("ALGORITHM", "ES256"), "ES256", is_tls=True),
)
INSTALLED_BY = {"directory_port": "slapd", "database": "postgresql"}
"""What `Way.needs` comes from."""


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
    questions: Sequence[str]
    """Those to the responder so far."""

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
    words = ("--scram", "both", "--with-hash", "--password-file", str(password_file), "--data", str(data))
    asked("passwd", NAME, *words)
    keys_file, tokens = _issued(place)
    issuer = Authority.load(data / "pki/ca.crt", data / "pki/ca.key")
    shown = x509.load_pem_x509_certificate((bundle / (Bundle.load(bundle).certificate or "")).read_bytes())
    certificates = make_certificates(place / "certificates")
    known = {
        "issuer": ISSUER,
        "suffix": SUFFIX,
        "keys_file": str(keys_file),
        "secret_file": str(_private(place / "secret", secrets.token_hex(32))),
        "ca_file": str(certificates.ca),
        "client_ca_file": str(data / "pki/ca.crt"),
        "accounts_file": str(accounts_file(place, password)),
    }
    questions: list[str] = []
    with (
        service() as issuer_port,
        service(certificates) as service_port,
        service(more={OCSP: good(issuer, shown)}, asked=questions) as responder_port,
        database(password) as server,
        directory(place / "directory", core, certificates, password) as directory_port,
    ):
        ports = {
            "issuer": issuer_port,
            "service": service_port,
            "responder": responder_port,
            "directory": directory_port,
        }
        known |= {f"{name}_port": str(port) for name, port in ports.items() if port is not None}
        if server is not None:
            known["database"] = server.url("postgres")
            known["database_password_file"] = str(_private(place / "database", f"{server.password}\n"))
        yield Made(data, unknown, bundle, {"password": password, **tokens}, known, questions)


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


def _issued(place: Path) -> tuple[Path, Mapping[str, str]]:
    """An issuer's keys, and a token of each algorithm."""
    keys = {one: _key(one) for one in ALGORITHMS}
    claims = {"iss": ISSUER, "sub": NAME, "aud": "bartizan", "exp": int(time.time()) + 24 * HOUR_S}
    keys_file = place / "keys.json"
    keys_file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys.values()]}), encoding="utf-8")
    return keys_file, {
        one: jwt.encode({"alg": one, "kid": one}, claims, key, algorithms=[one]) for one, key in keys.items()
    }


def _key(algorithm: str) -> ECKey | OKPKey | RSAKey:
    parameters: KeyParameters = {"kid": algorithm, "alg": algorithm, "use": "sig"}
    match algorithm[:2]:
        case "ES":
            return ECKey.generate_key("P-256", parameters)
        case "Ed":
            return OKPKey.generate_key("Ed25519", parameters)
        case _:
            return RSAKey.generate_key(RSA_BITS, parameters)


def _private(file: Path, text: str) -> Path:
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")
    return file
