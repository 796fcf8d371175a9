"""An MQTT client that proves its password by SCRAM, and never sends it: paho-mqtt, and AUTH, which paho does not know.

client = ScramClient("press-01", "the-password")
client.tls_set("ca.crt")
client.open("broker.example", 8883)     # raises unless the broker has proved that it knows the keys, too
client.publish("data/press-01/temperature", "21.5", qos=1)
client.renew()                          # whenever it likes: proves it again without a new connection
"""

import base64
import hashlib
import hmac
import secrets
import struct
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

METHODS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
AUTH, CONTINUE, AGAIN = 0xF0, 0x18, 0x19
ITERATIONS_MIN, ITERATIONS_MAX = 4_096, 1_000_000


class Untrusted(Exception):  # noqa: N818
    """The broker is not who it should be, or asks for less than it should."""


class Exchange:
    """One exchange of RFC 5802, from the client's side."""

    def __init__(self, method: str, name: str, password: str) -> None:
        if not (name.isascii() and password.isascii()):
            raise ValueError("prepare what is not ASCII first (SASLprep, RFC 4013)")
        self._hash = METHODS[method]
        self._password = password.encode()
        self._nonce = secrets.token_urlsafe(24)
        name = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._expected = b""

    def first(self) -> bytes:
        """What CONNECT, or AUTH 0x19, carries. `n`: this client cannot bind to the TLS connection."""
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """The proof, for the server's salt."""
        said = server_first.decode()
        fields = dict(field.split("=", 1) for field in said.split(","))
        nonce, rounds = fields["r"], int(fields["i"])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Untrusted("the nonce is not of this exchange")
        if not ITERATIONS_MIN <= rounds <= ITERATIONS_MAX:
            # Fewer would give the password away to whoever made the broker ask for them.
            raise Untrusted(f"{rounds} iterations")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, base64.b64decode(fields["s"]), rounds)
        unproved = f"c=biws,r={nonce}"
        exchange = f"{self._bare},{said},{unproved}".encode()
        key = hmac.digest(salted, b"Client Key", self._hash)
        signature = hmac.digest(hashlib.new(self._hash, key).digest(), exchange, self._hash)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", self._hash)
        self._expected = b"v=" + base64.b64encode(hmac.digest(server_key, exchange, self._hash))
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> None:
        """Raises unless the server has proved that it knows the keys of this password."""
        if not self._expected or not hmac.compare_digest(server_final, self._expected):
            raise Untrusted("the broker does not know this password")


class ScramClient(mqtt.Client):
    """Connects once, as `name`; `reason` is the Reason Code of CONNACK."""

    def __init__(self, name: str, password: str, method: str = "SCRAM-SHA-256", client_id: str | None = None) -> None:
        super().__init__(
            mqtt.CallbackAPIVersion.VERSION2, client_id or name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self.method = method
        self.reason: int | None = None
        self.ended = threading.Event()
        self._name, self._password = name, password
        self._settled = threading.Event()
        self._wrong: Exception | None = None
        self.on_connect = self._connected
        self.on_disconnect = self._disconnected

    def open(self, host: str, port: int, within_s: float = 10.0) -> int:
        """Connects; the Reason Code, 0 if both sides have proved themselves."""
        self._exchange = Exchange(self.method, self._name, self._password)
        self.connect(host, port, properties=self._said(PacketTypes.CONNECT, self._exchange.first()))
        self.loop_start()
        self._wait(within_s)
        if self.reason is None:
            raise ConnectionError("the connection was closed before CONNACK")
        return self.reason

    def renew(self, within_s: float = 10.0) -> None:
        """Proves the password again on the connection (AUTH 0x19)."""
        self._exchange = Exchange(self.method, self._name, self._password)
        self._settled.clear()
        self._send(AGAIN, self._exchange.first())
        self._wait(within_s)

    def close(self) -> None:
        """Ends it."""
        self.disconnect()
        self.loop_stop()

    def _wait(self, within_s: float) -> None:
        if not self._settled.wait(within_s):
            raise TimeoutError("no answer")
        if self._wrong is not None:
            self.close()
            raise self._wrong

    def _said(self, packet: int, data: bytes) -> Properties:
        properties = Properties(packet)
        properties.AuthenticationMethod, properties.AuthenticationData = self.method, data
        return properties

    def _send(self, reason: int, data: bytes) -> None:
        body = bytes([reason]) + self._said(PacketTypes.AUTH, data).pack()
        length, size = bytearray(), len(body)
        while size or not length:
            size, digit = divmod(size, 128)
            length.append(digit | (0x80 if size else 0))
        self._packet_queue(AUTH, struct.pack("!B", AUTH) + bytes(length) + body, 0, 0)

    def _packet_handle(self) -> mqtt.MQTTErrorCode:  # pyrefly: ignore[missing-override-decorator]
        if self._in_packet["command"] & 0xF0 != AUTH:
            return super()._packet_handle()
        packet = bytes(self._in_packet["packet"])
        properties = Properties(PacketTypes.AUTH)
        if packet[1:]:
            properties.unpack(packet[1:])
        self._answer(packet[0] if packet else 0, getattr(properties, "AuthenticationData", b""))
        return mqtt.MQTTErrorCode.MQTT_ERR_SUCCESS

    def _answer(self, reason: int, data: bytes) -> None:
        try:
            if reason == CONTINUE:
                self._send(CONTINUE, self._exchange.final(data))
                return
            self._exchange.check(data)
        except (Untrusted, KeyError, ValueError) as error:
            self._wrong = error if isinstance(error, Untrusted) else Untrusted("no answer of SCRAM")
        self._settled.set()

    def _connected(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.reason = reason.value
        if reason.value == 0:
            self._answer(0, getattr(properties, "AuthenticationData", b""))
        self._settled.set()

    def _disconnected(self, *_told: object) -> None:
        self.ended.set()
        self._settled.set()
