"""What `bartizan pub` and `bartizan sub` share: how to connect (TLS unless danger is spelt), and one exchange."""

import os
import ssl
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.config.files import read_file
from bartizan.errors import BartizanError, CertificateUnusable, ConfigurationError
from bartizan.pki.bundle import Bundle

PORTS = 65_536
VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


class ConnectionFailed(BartizanError):  # noqa: N818  as in errors.py
    """The broker cannot be reached, or refused. To do: what the message says."""


@Parameter(name="*")
@dataclass(frozen=True)
class Connection:
    """How to reach a broker and who to be."""

    as_: Annotated[Path | None, Parameter(name="--as")] = None
    """A bundle made by `bartizan enrol`: host, port, CA, certificate and key."""
    host: Annotated[str | None, Parameter(name=["--host", "-h"])] = None
    """Host name or address. Default: the bundle's, else localhost."""
    port: Annotated[int | None, Parameter(name=["--port", "-p"])] = None
    """Port. Default: the bundle's, else 8883."""
    ca: Path | None = None
    """CA certificate to trust. Default: the bundle's."""
    user: Annotated[str | None, Parameter(name=["--user", "-u"])] = None
    """User Name, with --password-file."""
    password_file: Path | None = field(default=None, repr=False)
    """File whose first line is the password. Default: the environment's BARTIZAN_PASSWORD."""
    id: Annotated[str | None, Parameter(name=["--id", "-i"])] = None
    """Client Identifier. Default: the bundle's identity, else the User Name, else assigned by the broker."""
    version: Annotated[Literal["3.1.1", "5"], Parameter(name=["--mqtt", "-V"])] = "5"
    """Version of MQTT."""
    danger_plaintext: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Connect without TLS: everyone on the way can read the password and the messages."""


def open_client(connection: Connection) -> Client:
    """A client, connected and with its network loop not yet started; `ConnectionFailed` if that fails."""
    bundle = Bundle.load(connection.as_) if connection.as_ is not None else None
    user = connection.user or (bundle.identity if bundle and not bundle.certificate else None)
    client_id = connection.id or (bundle.identity if bundle else None) or user or ""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=VERSIONS[connection.version])
    if user is not None:
        client.username_pw_set(user, _password(connection.password_file))
    if not connection.danger_plaintext:
        client.tls_set_context(_tls(connection, bundle))
    host = connection.host or (bundle.host if bundle else "localhost")
    port = connection.port or (bundle.port if bundle else 1883 if connection.danger_plaintext else 8883)
    if not 0 < port < PORTS:  # a broker on `:0` has the port that the system chose, and a bundle made before does not
        raise ConfigurationError(f"there is no port {port}", str(connection.as_ or "--port"), "name it with --port")
    try:
        client.connect(host, port, keepalive=60)
    except ssl.SSLCertVerificationError as error:
        raise ConnectionFailed(
            f"{host}:{port} is not trusted: {error.verify_message}: use --ca or the right bundle"
        ) from None
    except OSError as error:
        raise ConnectionFailed(
            f"{host}:{port} cannot be reached: {error.strerror or error}: is the broker running?"
        ) from None
    return client


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("BARTIZAN_PASSWORD")
    return read_file(file, "the password file").decode(errors="replace").split("\n", 1)[0].rstrip("\r")


def _tls(connection: Connection, bundle: Bundle | None) -> ssl.SSLContext:
    ca = connection.ca or (connection.as_ / bundle.ca if connection.as_ and bundle else None)
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if connection.as_ and bundle and bundle.certificate and bundle.key:
            context.load_cert_chain(connection.as_ / bundle.certificate, connection.as_ / bundle.key)
    except FileNotFoundError:
        raise ConfigurationError(
            "a file of the bundle or of --ca is missing", str(ca or connection.as_), "correct the path"
        ) from None
    except (ssl.SSLError, OSError) as error:
        raise CertificateUnusable(f"certificate, key or CA cannot be used: {error}") from None
    return context


class Exchange(ABC):
    """What one run of a verb has to do with the broker; filled in by paho's thread."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._failure: BaseException | None = None

    def run(self, connection: Connection, timeout_s: float | None) -> bool:
        """Connects, begins, and waits for the end; False if time is up. Raises what it failed by."""
        client = open_client(connection)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        self.listen(client)
        client.loop_start()
        try:
            ended = self._done.wait(timeout_s)
        finally:
            client.disconnect()
            client.loop_stop()
        if self._failure is not None:
            raise self._failure
        return ended

    @abstractmethod
    def listen(self, client: Client) -> None:
        """Names who is called for what the broker answers."""

    @abstractmethod
    def begin(self, client: Client) -> None:
        """Once connected: asks for what this is about; `ValueError` if it cannot be asked."""

    def end(self, failure: BaseException | None = None) -> None:
        """It is over; what comes later changes nothing."""
        if not self._done.is_set():
            self._failure = failure
            self._done.set()

    def _connected(
        self, client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object = None
    ) -> None:
        if reason.is_failure:
            self.end(refusal("connection", reason))
            return
        try:
            self.begin(client)
        except ValueError as error:
            self.end(ConnectionFailed(f"that cannot be sent: {error}"))

    def _disconnected(
        self, client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        why = str(reason)
        if client.protocol == MQTTProtocolVersion.MQTTv311:
            # It has no other word for a refused PUBLISH [MQTT-3.3.5-2].
            why = "MQTT 3.1.1 has no other way to refuse a message; with --mqtt 5 it would say why"
        self.end(ConnectionFailed(f"the broker closed the connection: {why}"))


def refusal(verb: str, reason: ReasonCode) -> ConnectionFailed:
    """An error for a Reason Code of CONNACK, PUBACK or SUBACK."""
    return ConnectionFailed(f"the broker refused the {verb}: {reason} (0x{reason.value:02x})")
