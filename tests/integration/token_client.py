"""A paho client that proves itself by token, and by AUTH again: paho itself knows no AUTH packet."""

import struct
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

AUTH = 0xF0
REAUTHENTICATE = 0x19
WITHIN_S = 10.0


class TokenClient(mqtt.Client):
    """Connects once; `close_reason` is what its connection ended with."""

    def __init__(self, port: int, ca_file: str, client_id: str, version: str = "5") -> None:
        protocol = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}[version]
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False)
        self.tls_set(ca_file)
        self.answered, self.ended, self.renewed = threading.Event(), threading.Event(), threading.Event()
        self.reason: int | None = None
        self.close_reason: int | None = None
        self.auth_reasons: list[int] = []
        self._port = port
        self.on_connect = self._answer
        self.on_disconnect = self._end

    def certificate(self, certificate: str | Path, key: str | Path) -> None:
        """Presents a certificate."""
        assert self._ssl_context is not None
        self._ssl_context.load_cert_chain(certificate, key)

    def open(self, token: str | None = None, *, method: str | None = None, user_name: str | None = None) -> int:
        """Connects with the token in Password, or in Authentication Data of a method; the Reason Code of CONNACK."""
        properties = None
        if method is not None and token is not None:
            properties = Properties(PacketTypes.CONNECT)
            properties.AuthenticationMethod, properties.AuthenticationData = method, token.encode()
        elif token is not None:
            self.username_pw_set(user_name or self._client_id.decode(), token)
        self._method = method
        self.connect("127.0.0.1", self._port, properties=properties)
        self.loop_start()
        assert self.answered.wait(WITHIN_S) or self.ended.is_set()
        assert self.reason is not None
        return self.reason

    def again(self, token: str) -> None:
        """Re-authenticates by AUTH 0x19 and waits until the broker says that it is done."""
        properties = Properties(PacketTypes.AUTH)
        properties.AuthenticationMethod, properties.AuthenticationData = self._method, token.encode()
        body = bytes([REAUTHENTICATE]) + properties.pack()
        length, size = bytearray(), len(body)
        while True:
            size, digit = divmod(size, 128)
            length.append(digit | (0x80 if size else 0))
            if not size:
                break
        self._packet_queue(AUTH, struct.pack("!B", AUTH) + bytes(length) + body, 0, 0)
        assert self.renewed.wait(WITHIN_S) or self.ended.is_set()

    def is_open_after(self, seconds: float) -> bool:
        """Whether the connection is still there after a while."""
        return not self.ended.wait(seconds)

    def close(self) -> None:
        """Ends it."""
        self.disconnect()
        self.loop_stop()

    def _packet_handle(self) -> Any:  # pyrefly: ignore[missing-override-decorator]
        if self._in_packet["command"] & 0xF0 != AUTH:
            return super()._packet_handle()
        packet = bytes(self._in_packet["packet"])
        self.auth_reasons.append(packet[0] if packet else 0)
        self.renewed.set()
        return mqtt.MQTT_ERR_SUCCESS

    def _answer(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.reason = reason.value
        self.answered.set()

    def _end(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        self.close_reason = reason.value if flags.is_disconnect_packet_from_server else None
        self.ended.set()


def wait_until(at: float) -> None:
    """Sleeps until that time of `time.time`: a token's end is a time of day."""
    time.sleep(max(0.0, at - time.time()))
