"""Who judges clients besides the broker, for benchmarks: an issuer, a web service, a directory, databases, a responder.

Each does as little as it can and knows one client: what is measured is the broker that asks.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bartizan.identity.passwords import hash_password
from bartizan.pki.ca import Authority
from bench import postgres
from bench.certificates import Certificates
from bench.ports import free_ports
from bench.process import HOST, Running, running

NAME = "bench"
"""Whom they know."""
HOUR_S = 3_600
WITHIN_S = 60.0
SUFFIX = "dc=bench,dc=example"
OCSP = "/ocsp"
MOSQUITTO_ITERATIONS = 101
"""As mosquitto_passwd writes them, unless it is told otherwise."""
PROGRAMS = "/usr/sbin:/usr/bin:/usr/local/sbin"
SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {files.ca}
TLSCertificateFile {files.chain}
TLSCertificateKeyFile {files.key}
database mdb
suffix "{suffix}"
directory {directory}/db
maxsize 16777216
access to attrs=userPassword by anonymous auth by * none
access to * by users read
"""
PEOPLE = """\
dn: {suffix}
objectClass: dcObject
objectClass: organization
o: Bench
dc: bench

dn: uid={name},{suffix}
objectClass: account
objectClass: simpleSecurityObject
uid: {name}
userPassword: {password}
"""


class Yes(BaseHTTPRequestHandler):
    """Says yes to everybody."""

    protocol_version = "HTTP/1.1"
    # Head and body in one segment: the second of two would wait until the first is acknowledged.
    wbufsize = 65_536
    disable_nagle_algorithm = True
    answers: ClassVar[Mapping[str, bytes]] = {
        "/introspect": json.dumps(
            {"active": True, "sub": NAME, "aud": "bartizan", "exp": int(time.time()) + 24 * HOUR_S}
        ).encode(),
        "/judge": b'{"allow": true}',
    }
    """To a question about a token (RFC 7662, 2.2), and about a CONNECT (docs/reference/webhook.md)."""
    asked: ClassVar[list[str]]
    """Each question's path."""

    def do_POST(self) -> None:
        """Answers."""
        self.rfile.read(int(self.headers["content-length"]))
        body = self.answers[self.path]
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-type", "application/ocsp-response" if self.path == OCSP else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # pyrefly: ignore[missing-override-decorator]
        """Nothing."""


@contextlib.contextmanager
def service(
    certificates: Certificates | None = None,
    more: Mapping[str, bytes] | None = None,
    asked: list[str] | None = None,
) -> Iterator[int]:
    """`Yes` on loopback, by TLS with these certificates, with more answers by path; its port. `asked` gets each path."""
    own: Mapping[str, object] = {
        "answers": {**Yes.answers, **(more or {})},
        "asked": [] if asked is None else asked,
    }
    server = ThreadingHTTPServer((HOST, 0), type("Answering", (Yes,), {**own}))
    if certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.chain, certificates.key)
        # Each connection's thread does its own handshake.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def directory(place: Path, core: int, certificates: Certificates, password: str) -> Iterator[int | None]:
    """A slapd; its port for LDAP over TLS. None where it is not installed."""
    slapd, slapadd = (shutil.which(name, path=PROGRAMS) for name in ("slapd", "slapadd"))
    if slapd is None or slapadd is None:
        yield None
        return
    (place / "db").mkdir(parents=True)
    settings = place / "slapd.conf"
    settings.write_text(SLAPD.format(files=certificates, suffix=SUFFIX, directory=place), encoding="utf-8")
    people = PEOPLE.format(suffix=SUFFIX, name=NAME, password=password)
    added = subprocess.run(  # noqa: S603
        [slapadd, "-f", str(settings)], input=people, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    if added.returncode != 0:
        raise SystemExit(f"slapadd: {added.stderr.strip()}")
    (port,) = free_ports(1)
    # In the foreground, and silent.
    argv = [slapd, "-f", str(settings), "-h", f"ldaps://{HOST}:{port}/", "-d", "0"]
    with running(argv, core=core, directory=place) as one:
        wait_listening(one, port)
        yield port


def wait_listening(one: Running, port: int) -> None:
    """Returns once it accepts connections there."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and one.is_alive():
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens: {one.last_words()}")


def good(authority: Authority, certificate: x509.Certificate) -> bytes:
    """What its CA says of a certificate (OCSP): good, without `nextUpdate`, so that everybody has to ask again.

    Made once, without a nonce: it counts for an hour.
    """
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=certificate,
            issuer=authority.certificate,
            algorithm=hashes.SHA1(),  # noqa: S303  as RFC 5019 has it: it names the issuer, and proves nothing
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=datetime.now(UTC),
            next_update=None,
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


@contextlib.contextmanager
def database(password: str) -> Iterator[postgres.Server | None]:
    """A PostgreSQL with the client's account; None where it is not installed."""
    programs = postgres.find_programs()
    if programs is None:
        yield None
        return
    with postgres.started(programs) as server:
        row = f"('{NAME}', '{as_mosquitto(password)}')"
        server.sql("CREATE TABLE devices (name text PRIMARY KEY, mosquitto text)")
        server.sql(f"INSERT INTO devices VALUES {row}")  # noqa: S608  only our words
        yield server


def as_mosquitto(password: str) -> str:
    """A hash as mosquitto_passwd makes it."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, MOSQUITTO_ITERATIONS)
    return f"$7${MOSQUITTO_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def accounts_file(place: Path, password: str) -> Path:
    """A SQLite database with the client's hash in two forms: as we make them, and as mosquitto_passwd does."""
    file = place / "accounts.db"
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE devices (name TEXT PRIMARY KEY, argon2id TEXT, mosquitto TEXT)")
        database.execute(
            "INSERT INTO devices VALUES (?, ?, ?)", (NAME, hash_password(password), as_mosquitto(password))
        )
    return file
