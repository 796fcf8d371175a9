"""SCRAM from the client's side, for every suite: the arithmetic, and identities that have keys."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime

from bartizan.identity.passwords import generate_secret
from bartizan.identity.register import Register
from bartizan.identity.scram import scram_credential
from bartizan.model.credential import SCRAM_MECHANISMS, ScramMechanism
from bartizan.testing import Broker

SETTING = 'authenticators.keys={ kind = "scram" }'
BOUND_SETTING = 'authenticators.keys={ kind = "scram", channel_binding = "required" }'


def accepts(*entries: str, listener: str = "mqtt") -> str:
    """`--set` of what a listener accepts."""
    return f"listeners.{listener}.authentication=[{', '.join(f'{chr(34)}{entry}{chr(34)}' for entry in entries)}]"


def give_keys(broker: Broker, name: str, *mechanisms: ScramMechanism, password: str | None = None) -> str:
    """Gives an enrolled identity a password that is kept as keys alone; the password."""
    chosen, at = password or generate_secret(), datetime.now(UTC)
    kept = [scram_credential(chosen, one, at=at, iterations=4096) for one in mechanisms or SCRAM_MECHANISMS]

    async def keep() -> None:
        await Register(broker._running._store).set_password(name, chosen, at=at, kept_as=kept)
        await broker._running._in_force()

    asyncio.run_coroutine_threadsafe(keep(), broker._loop).result(10)
    return chosen


class Client:
    """The other side, written from RFC 5802 with nothing of ours."""

    def __init__(
        self, mechanism: ScramMechanism, name: str, password: str, *, flag: str = "n", binding: bytes = b""
    ) -> None:
        self.hash = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[mechanism]
        self.password, self.binding = password, binding
        self.header = f"{flag},,"
        self.bare = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={secrets.token_urlsafe(18)}"
        self.exchange = ""
        self.salted = b""

    def first(self) -> bytes:
        return (self.header + self.bare).encode()

    def final(self, server_first: bytes) -> bytes:
        fields = dict(field.split("=", 1) for field in server_first.decode().split(","))
        assert fields["r"].startswith(self.bare.split(",r=")[1])
        self.salted = hashlib.pbkdf2_hmac(
            self.hash, self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
        )
        bound = base64.b64encode(self.header.encode() + self.binding).decode()
        unproved = f"c={bound},r={fields['r']}"
        self.exchange = f"{self.bare},{server_first.decode()},{unproved}"
        key = hmac.digest(self.salted, b"Client Key", self.hash)
        signature = hmac.digest(hashlib.new(self.hash, key).digest(), self.exchange.encode(), self.hash)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        return f"{unproved},p={proof}".encode()

    def trusts(self, server_final: bytes) -> bool:
        key = hmac.digest(self.salted, b"Server Key", self.hash)
        return server_final == b"v=" + base64.b64encode(hmac.digest(key, self.exchange.encode(), self.hash))
