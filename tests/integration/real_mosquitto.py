"""A real Mosquitto that is asked who may publish, receive and subscribe to what: many questions to one start.

Two listeners: on one the ACL file and the password file hold, on the other everybody may do everything. A publish
is answered by its PUBACK; a delivery is seen by those who subscribed to everything before the open side spoke.
"""

import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.ports import free_ports

START_WITHIN_S = 20.0
ANSWER_WITHIN_S = 20.0
SUCCESSES = frozenset({0x00, 0x10})
"""Success, and success without subscribers (MQTT 5, 3.4.2.1)."""


@dataclass(frozen=True)
class Client:
    """Who connects. Without a user name it presents nothing."""

    client_id: str
    user_name: str | None = None
    password: str = ""


@dataclass(frozen=True)
class Answers:
    """What one client may do."""

    publish: frozenset[str]
    receive: frozenset[str]
    sent: frozenset[str]
    """The topics to which the open side could publish: what can be received at all."""

    subscribe: frozenset[str] = frozenset()
    """The filters whose SUBSCRIBE was granted, of those that were asked for."""

    connected: bool = True


@dataclass
class Connection:
    """An MQTT 5 connection that waits for what it needs and keeps what it is sent."""

    socket: socket.socket
    topics: list[str] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)

    def packet(self) -> tuple[int, bytes]:
        """The next packet: first octet and what follows its length."""
        while True:
            size, shift = 0, 0
            for at in range(1, min(5, len(self._buffer))):
                octet = self._buffer[at]
                size |= (octet & 0x7F) << shift
                shift += 7
                if octet < 0x80:
                    break
            else:
                self._read()
                continue
            end = at + 1 + size
            if len(self._buffer) < end:
                self._read()
                continue
            first, body = self._buffer[0], bytes(self._buffer[at + 1 : end])
            del self._buffer[:end]
            return first, body

    def _read(self) -> None:
        part = self.socket.recv(65_536)
        if not part:
            raise ConnectionError("the broker closed the connection")
        self._buffer += part

    def until(self, kind: int) -> bytes:
        """The next packet of this type; topics of PUBLISH packets before it are kept."""
        while True:
            first, body = self.packet()
            if first >> 4 == kind:
                return body
            if first >> 4 == 3:
                length = struct.unpack_from(">H", body)[0]
                self.topics.append(body[2 : 2 + length].decode())

    def send(self, first: int, body: bytes) -> None:
        """Sends one packet."""
        self.socket.sendall(framed(first, body))


def framed(first: int, body: bytes) -> bytes:
    """A whole packet: first octet, Remaining Length (2.1.4), and the rest."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([first]) + bytes(length) + body


def text(value: str) -> bytes:
    """A UTF-8 Encoded String (1.5.4)."""
    octets = value.encode()
    return struct.pack(">H", len(octets)) + octets


@contextmanager
def connected(port: int, client: Client) -> Iterator[Connection | None]:
    """A connection after CONNACK; None if it was refused."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(plain)
        flags = 0x02 | (0xC0 if client.user_name is not None else 0)
        credentials = b"" if client.user_name is None else text(client.user_name) + text(client.password)
        body = text("MQTT") + bytes([5, flags]) + struct.pack(">HB", 60, 0) + text(client.client_id) + credentials
        connection.send(0x10, body)
        try:
            accepted = connection.until(2)[1] == 0
        except ConnectionError:
            accepted = False
        yield connection if accepted else None


def may_publish(connection: Connection, topics: Sequence[str]) -> frozenset[str]:
    """The topics to which a QoS 1 PUBLISH is acknowledged with success."""
    packets = [text(topic) + struct.pack(">HB", at, 0) + b"x" for at, topic in enumerate(topics, start=1)]
    connection.socket.sendall(b"".join(framed(0x32, packet) for packet in packets))
    allowed = set()
    for _ in topics:
        body = connection.until(4)
        reason = body[2] if len(body) > 2 else 0
        if reason in SUCCESSES:
            allowed.add(topics[struct.unpack_from(">H", body)[0] - 1])
    return frozenset(allowed)


def subscribe(connection: Connection, filters: Sequence[str]) -> bytes:
    """Subscribes to all of them, without what it publishes itself; the Reason Codes."""
    # No Local is a Protocol Error on a Shared Subscription (3.8.3.1).
    options = [b"\x00" if each.startswith("$share/") else b"\x04" for each in filters]
    body = struct.pack(">HB", 1, 0) + b"".join(text(each) + own for each, own in zip(filters, options, strict=True))
    connection.send(0x82, body)
    return connection.until(9)[3:]


def may_subscribe(connection: Connection, filters: Sequence[str]) -> frozenset[str]:
    """The filters that SUBACK grants."""
    reasons = subscribe(connection, filters) if filters else b""
    return frozenset(each for each, reason in zip(filters, reasons, strict=True) if reason < 0x80)


def ask(
    broker: "RealMosquitto",
    clients: Sequence[Client],
    topics: Sequence[str],
    *,
    filters: Sequence[str] = (),
    one_by_one: bool = False,
) -> dict[Client, Answers]:
    """What each client may publish to and what it is sent, of these topics; which SUBSCRIBE it is granted, of these filters.

    It subscribes to everything, which an ACL file always grants; or to each topic, where SUBSCRIBE is decided too.
    """
    firsts = sorted({topic.split("/")[0] for topic in topics if topic.startswith("$")})
    everything = topics if one_by_one else ["#", *(f"{first}/#" for first in firsts)]
    with ExitStack() as stack:
        open_side = stack.enter_context(connected(broker.open_port, Client("open-side")))
        assert open_side is not None
        asking = {client: stack.enter_context(connected(broker.port, client)) for client in clients}
        live = {client: connection for client, connection in asking.items() if connection is not None}
        for connection in live.values():
            reasons = subscribe(connection, everything)
            assert one_by_one or not any(reasons)
        sent = may_publish(open_side, topics)
        for connection in live.values():
            connection.send(0xC0, b"")
            connection.until(13)
        received = {client: frozenset(connection.topics) & sent for client, connection in live.items()}
        published = {client: may_publish(connection, topics) for client, connection in live.items()}
        subscribed = {client: may_subscribe(connection, filters) for client, connection in live.items()}
    nothing = Answers(frozenset(), frozenset(), sent, connected=False)
    return {
        client: Answers(published[client], received[client], sent, subscribed[client]) if client in live else nothing
        for client in clients
    }


@dataclass
class RealMosquitto:
    """A broker that listens."""

    process: subprocess.Popen[bytes]
    port: int
    open_port: int
    log_file: Path

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(timeout=START_WITHIN_S)


class MosquittoRefuses(Exception):  # noqa: N818
    """It did not start with this file: what it logged."""


@contextmanager
def mosquitto(
    directory: Path, *, acl: bytes | None, passwords: str | None, anonymous: bool = True, more: Sequence[str] = ()
) -> Iterator[RealMosquitto]:
    """A broker with this ACL file and password file, and more lines; `MosquittoRefuses` if it ends by itself."""
    directory.mkdir(parents=True, exist_ok=True)
    port, open_port = free_ports(2)
    lines = ["per_listener_settings true", f"listener {port} 127.0.0.1", f"allow_anonymous {str(anonymous).lower()}"]
    for name, content in (("acl_file", acl), ("password_file", passwords)):
        if content is not None:
            file = directory / name
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            lines.append(f"{name} {file}")
    lines += more
    lines += [f"listener {open_port} 127.0.0.1", "allow_anonymous true", "user root", "max_inflight_messages 0"]
    # Else each answer waits for the acknowledgement of the one before (Nagle).
    lines.append("set_tcp_nodelay true")
    configuration = directory / "mosquitto.conf"
    configuration.write_text("\n".join(lines) + "\n")
    log_file = directory / "mosquitto.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(["mosquitto", "-c", str(configuration)], stdout=log, stderr=log)
    broker = RealMosquitto(process, port, open_port, log_file)
    try:
        _wait(broker)
        yield broker
    finally:
        if process.poll() is None:
            broker.stop()


def _wait(broker: RealMosquitto) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if broker.process.poll() is not None:
            log = broker.log_file.read_text(errors="replace")
            raise ConnectionError(log) if "Address already in use" in log else MosquittoRefuses(log)
        try:
            with socket.create_connection(("127.0.0.1", broker.open_port), timeout=1):
                return
        except OSError:
            time.sleep(0.01)
    raise TimeoutError("Mosquitto does not listen")


def hashed(users: Sequence[str], password: str = "pw") -> dict[str, str]:
    """Each user's hash of the password, as `mosquitto_passwd` makes it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "passwords"
        file.write_text("".join(f"{user}:{password}\n" for user in users), encoding="utf-8")
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True)
        lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.rsplit(":", 1) for line in lines)
