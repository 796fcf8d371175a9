"""What a broker that nobody configured lets in: nothing without a proved identity, nothing in clear text."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack, Puback, Suback
from tests.conformance.wire import Wire
from tests.security.party import (
    HOST,
    NOT_AUTHORIZED,
    NOT_AUTHORIZED_V311,
    Party,
    plain,
    tls_context,
)
from tests.security.process import Process, running

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
LISTEN = "0A"


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A first run on ports of its own: the default ones may be in use here."""
    with running(tmp_path_factory.mktemp("first") / "data") as process:
        yield process


def listening(pid: int) -> set[tuple[str, int]]:
    """Protocol and port of every socket on which a process can be reached over a network."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == LISTEN or not protocol.startswith("tcp")):
                found.add((protocol, int(fields[1].rpartition(":")[2], 16)))
    return found


def test_the_default_configuration_listens_on_8883_and_8443_and_on_loopback_8444_and_nowhere_else(tmp_path: Path):
    for port in (8883, 8443, 8444):
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("::", port))
            except OSError:
                pytest.skip(f"port {port} is in use on this machine")
    with running(tmp_path / "data", binds=()) as process:
        assert listening(process.pid) == {("tcp6", 8883), ("tcp6", 8443), ("tcp", 8444)}
        assert process.summary["api"] == "127.0.0.1:8444"


def test_a_first_run_listens_nowhere_but_where_it_says(first_run: Process):
    api = int(first_run.summary["api"].rpartition(":")[2])
    said = {first_run.port("mqtts"), first_run.port("wss"), api}
    assert {port for _, port in listening(first_run.pid)} == said
    assert (first_run.data / "control.sock").stat().st_mode & 0o777 == 0o600
    assert first_run.data.stat().st_mode & 0o777 == 0o700
    private = list(first_run.data.rglob("*.key"))
    assert private
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)


def first_wire(process: Process, dialect: Dialect) -> Wire:
    ca = str(process.data / "pki" / "ca.crt")
    stream = tls_context(ca).wrap_socket(plain(process.port("mqtts")), server_hostname=HOST)
    return Wire(stream, dialect=dialect)


@DIALECTS
def test_a_client_that_presents_nothing_is_refused(first_run: Process, dialect: Dialect):
    with first_wire(first_run, dialect) as wire:
        wire.send(dialect.connect("press-01"))
        wire.expect_refusal(Connack, NOT_AUTHORIZED if dialect is v5 else NOT_AUTHORIZED_V311)
    first_run.wait_for("refused", client_id="press-01")


@DIALECTS
@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("press-01", b""),
        ("press-01", b"press-01"),
        ("admin", b"admin"),
        ("admin", b"public"),
        ("root", b"root"),
        ("", b""),
    ],
)
def test_names_with_guessed_passwords_are_refused(first_run: Process, dialect: Dialect, username: str, password: bytes):
    with first_wire(first_run, dialect) as wire:
        wire.send(dialect.connect("press-01", username=username, password=password))
        # After a few of them, 0x89 Server busy (0x03 in MQTT 3.1.1): who guesses has to wait.
        reasons = (0x86, NOT_AUTHORIZED, 0x89) if dialect is v5 else (0x04, NOT_AUTHORIZED_V311, 0x03)
        assert wire.expect(Connack, within_s=5).reason in reasons


@pytest.mark.parametrize("listener", ["mqtts", "wss"])
@pytest.mark.parametrize("first", [v5.connect("press-01"), v311.connect("press-01"), b"GET /mqtt HTTP/1.1\r\n\r\n"])
def test_clear_text_on_a_tls_port_is_closed_without_an_mqtt_byte(first_run: Process, listener: str, first: bytes):
    with plain(first_run.port(listener)) as raw:
        raw.sendall(first)
        raw.settimeout(5)
        came = b""
        while part := _read(raw):
            came += part
        # A TLS alert at most: record type 21.
        assert came == b"" or came[0] == 21


def _read(raw: socket.socket) -> bytes:
    try:
        return raw.recv(4096)
    except ConnectionResetError:
        return b""


@DIALECTS
def test_an_identity_without_a_role_may_do_nothing(plant: Party, dialect: Dialect):
    wire = plant.connect("nobody", dialect=dialect)
    wire.send(dialect.subscribe(1, "data/press-01/temperature", "#", "+", "$SYS/#", "$share/g/#"))
    refused = NOT_AUTHORIZED if dialect is v5 else 0x80
    wire.expect(Suback, reasons=(refused,) * 5)
    wire.send(dialect.publish("data/press-01/temperature", b"x", qos=1, pid=1))
    if dialect is v5:
        wire.expect(Puback, reason=NOT_AUTHORIZED)
    else:
        wire.expect_close()
