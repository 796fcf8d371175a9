"""A WebSocket client of our own: RFC 6455 as far as chapter 6 needs it, wrong frames included.

`WebSocket` looks like a socket to `Wire`: what is sent becomes one binary frame, what binary
frames bring is read as a stream. `send_frame` writes any frame, `statuses` keeps what a Close said.
"""

import base64
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL = 0x80


@dataclass(frozen=True)
class Upgrade:
    """The broker's answer to the request: status and headers, names in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class WebSocket:
    """One connection, from the request to the last frame."""

    def __init__(
        self, host: str, port: int, path: str = "/mqtt", *, offers: str | None = "mqtt", origin: str | None = None
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout=5)
        self._raw = b""
        self.pongs: list[bytes] = []
        self.statuses: list[int | None] = []
        self.frame_sizes: list[int] = []
        self.upgrade = self._request(f"{host}:{port}", path, {"Sec-WebSocket-Protocol": offers, "Origin": origin})

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> None:
        """One frame, masked as a client's has to be (RFC 6455, 5.3)."""
        mask = os.urandom(4) if masked else b""
        if len(payload) < 126:
            length = bytes([len(payload) | (0x80 if masked else 0)])
        elif len(payload) < 65536:
            length = bytes([126 | (0x80 if masked else 0)]) + len(payload).to_bytes(2)
        else:
            length = bytes([127 | (0x80 if masked else 0)]) + len(payload).to_bytes(8)
        body = bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload)) if masked else payload
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(bytes([opcode | (FINAL if final else 0)]) + length + mask + body)

    # What Wire asks of a socket.

    def settimeout(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self._socket.setsockopt(level, option, value)

    def sendall(self, octets: bytes) -> None:
        self.send_frame(BINARY, octets)

    def recv(self, _count: int) -> bytes:
        """The payload of the next binary frame; nothing when the broker closed."""
        while True:
            frame = self._frame()
            if frame is None:
                octets = self._socket.recv(65536)
                if not octets:
                    assert not self._raw, f"half a frame: {self._raw.hex(' ')}"
                    return b""
                self._raw += octets
                continue
            opcode, payload = frame
            if opcode in (BINARY, CONTINUATION) and payload:
                self.frame_sizes.append(len(payload))
                return payload
            if opcode == CLOSE:
                self.statuses.append(int.from_bytes(payload[:2]) if payload else None)
                return b""
            if opcode == PONG:
                self.pongs.append(payload)

    def close(self) -> None:
        self._socket.close()

    def _request(self, host: str, path: str, more: dict[str, str | None]) -> Upgrade:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        lines += [f"{name}: {value}" for name, value in more.items() if value is not None]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._raw:
            octets = self._socket.recv(4096)
            if not octets:
                return Upgrade(0)
            self._raw += octets
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in fields)
        return Upgrade(int(status.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs})

    def _frame(self) -> tuple[int, bytes] | None:
        """The first whole frame: opcode and payload."""
        raw = self._raw
        if len(raw) < 2:
            return None
        assert not raw[0] & 0x70, f"reserved bits in the frame {raw[:2].hex(' ')}"
        assert not raw[1] & 0x80, "a server does not mask (RFC 6455, 5.1)"
        opcode, length, at = raw[0] & 0x0F, raw[1], 2
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(raw[2:at])
        if len(raw) < at or len(raw) < at + length:
            return None
        assert opcode in (CONTINUATION, BINARY, CLOSE, PING, PONG), f"[MQTT-6.0.0-1] frame of opcode {opcode}"
        self._raw = raw[at + length :]
        return opcode, raw[at : at + length]
