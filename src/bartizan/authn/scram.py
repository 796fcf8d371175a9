"""SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677) as MQTT 5 enhanced authentication (4.12), also to renew it.

```
CONNECT  client-first    n,,n=press-01,r=...            p=tls-exporter,, for the -PLUS mechanisms (RFC 9266)
AUTH     server-first    r=...,s=...,i=15000
AUTH     client-final    c=...,r=...,p=...
CONNACK  server-final    v=...                           the server has proved that it knows the keys
```

A name that is not there gets a salt too, the same each time, and fails at the end like a wrong password.
"""

import asyncio
import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bartizan.authn.backoff import Backoff, TooSoon
from bartizan.authn.base import Authenticator, Challenge, ConnectRequest, Denied, Proof
from bartizan.config.authenticators import Scram
from bartizan.identity.scram import SALT_BYTES, live_credentials, proves, server_signature
from bartizan.model.credential import SCRAM_ITERATIONS, ScramCredential, ScramMechanism
from bartizan.model.principal import Factor, Identity
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

PLUS: Final = "-PLUS"
BINDING: Final = "tls-exporter"
NONCE_BYTES: Final = 24
MESSAGE_BYTES_MAX: Final = 4_096
"""A longer message is no SCRAM message of anyone's."""

ANSWER_S: Final = 0.005
"""No answer comes earlier: how long a name is looked for does not tell whether it is there."""

_PRINTABLE = r"[\x21-\x2b\x2d-\x7e]"
_NAME = r"(?:[^,=\x00]|=2C|=3D)+"
_EXTENSION = r",[A-Za-ln-oq-z]=[^,\x00]+"
_FIRST = re.compile(
    rf"(?P<header>(?P<flag>[ny]|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>{_NAME}))?,)"
    rf"(?P<bare>n=(?P<name>{_NAME}),r=(?P<nonce>{_PRINTABLE}+)(?:{_EXTENSION})*)\Z"
)
"""client-first-message (RFC 5802, 7). A mandatory extension (`m=`) is none that is known here."""
_FINAL = re.compile(
    rf"(?P<unproved>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>{_PRINTABLE}+)(?:{_EXTENSION})*)"
    r",p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)


def refuse(why: str) -> Denied:
    """An exchange that does not hold. The client is told no more than that."""
    return Denied(ReasonCode.NOT_AUTHORIZED, why, conclusive=True)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What has been said, as the engine keeps it between two messages of the client."""

    name: str
    header: str
    client_first: str
    nonce: str
    shown: str
    """Salt and iterations, as they were sent."""

    def packed(self) -> bytes:
        return json.dumps([self.name, self.header, self.client_first, self.nonce, self.shown]).encode()

    @classmethod
    def unpacked(cls, state: bytes) -> "_Exchange":
        return cls(*json.loads(state))

    @property
    def server_first(self) -> str:
        return f"r={self.nonce},{self.shown}"


@dataclass(frozen=True, slots=True)
class ScramSurroundings:
    """What all mechanisms of one authenticator share."""

    directory: IdentityDirectory
    backoff: Backoff | None = None
    iterations: int = SCRAM_ITERATIONS
    """What a name that is not there pretends to have."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class ScramAuthenticator:
    """One mechanism, with or without channel binding. Asked twice for each exchange; remembers nothing itself."""

    def __init__(self, name: str, mechanism: ScramMechanism, around: ScramSurroundings, *, is_bound: bool) -> None:
        self.name = name
        self.method = mechanism + (PLUS if is_bound else "")
        self._mechanism: ScramMechanism = mechanism
        self._is_bound = is_bound
        self._around = around

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge:
        """A challenge for client-first, a proof for client-final; `Denied` for anything else."""
        loop = asyncio.get_running_loop()
        earliest = loop.time() + ANSWER_S
        try:
            message = _text(request.authentication_data)
            if request.exchange_state is None:
                return await self._first(message, request)
            return await self._final(message, _Exchange.unpacked(request.exchange_state), request)
        finally:
            await asyncio.sleep(earliest - loop.time())

    async def _first(self, message: str, request: ConnectRequest) -> Challenge:
        found = _FIRST.match(message)
        if found is None:
            raise refuse("no client-first-message of SCRAM")
        self._check_flag(found["flag"], found["binding"], request)
        if found["authzid"] not in {None, found["name"]}:
            raise refuse("nobody acts for somebody else here: the authorization identity is another one")
        # Looked up as it was sent: what only looks like a name after preparation is not that name.
        name = found["name"].replace("=2C", ",").replace("=3D", "=")
        said = _Exchange(
            name,
            found["header"],
            found["bare"],
            found["nonce"] + base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode(),
            await self._shown_for(name),
        )
        return Challenge(said.server_first.encode(), said.packed())

    async def _final(self, message: str, said: _Exchange, request: ConnectRequest) -> Proof:
        found = _FINAL.match(message)
        if found is None:
            raise refuse("no client-final-message of SCRAM")
        if not hmac.compare_digest(found["nonce"], said.nonce):
            raise refuse("the nonce is not this exchange's")
        bound = said.header.encode() + (request.channel_binding or b"" if self._is_bound else b"")
        if not hmac.compare_digest(_octets(found["binding"]), bound):
            raise refuse("the channel is not the one that the client sees: somebody is in between")
        exchange = f"{said.client_first},{said.server_first},{found['unproved']}".encode()
        identity, credential = await self._judged(said, exchange, _octets(found["proof"]), request)
        now = self._around.now()
        if refusal := identity.refusal(now):
            raise refuse(refusal)
        principal = identity.principal("scram", factor=Factor.SCRAM, credential=credential)
        signature = server_signature(self._mechanism, credential.server_key, exchange)
        return Proof(principal, expires_at=credential.expires_at, data=b"v=" + base64.b64encode(signature))

    async def _judged(
        self, said: _Exchange, exchange: bytes, proof: bytes, request: ConnectRequest
    ) -> tuple[Identity, ScramCredential]:
        """Who has proved it, by which credential; guesses are counted as those at passwords are."""
        backoff = self._around.backoff
        try:
            attempt = None if backoff is None else backoff.begin(request.address, said.name)
        except TooSoon as early:
            raise Denied(ReasonCode.SERVER_BUSY, str(early), conclusive=True) from None
        try:
            identity, candidates = await self._credentials(said.name)
        except BaseException:
            if backoff is not None and attempt is not None:
                backoff.withdrawn(attempt)
            raise
        asked = [item for item in candidates if _shown(item.salt, item.iterations) == said.shown]
        credential = next((item for item in asked if proves(self._mechanism, item.stored_key, exchange, proof)), None)
        if backoff is not None and attempt is not None:
            (backoff.failed if credential is None else backoff.succeeded)(attempt)
        if identity is None or credential is None:
            proves(self._mechanism, b"", exchange, proof)
            raise refuse("wrong password" if asked else "no such identity, or it has no SCRAM keys")
        return identity, credential

    def _check_flag(self, flag: str, binding: str | None, request: ConnectRequest) -> None:
        if self._is_bound:
            if binding != BINDING:
                raise refuse(f"{self.method} binds to the channel by {BINDING}")
            if request.channel_binding is None:
                raise refuse("there is no channel to bind to: it takes TLS 1.3")
        elif binding is not None:
            raise refuse(f"channel binding goes with {self._mechanism}{PLUS}")
        elif flag == "y" and request.channel_binding is not None:
            # It could bind, and was made to believe that we cannot (RFC 5802, 6).
            raise refuse("the client was talked out of channel binding: somebody is in between")

    async def _shown_for(self, name: str) -> str:
        _, live = await self._credentials(name)
        if live:
            # One salt can be sent. Rotation gives all that prove for a while the same one.
            return _shown(live[0].salt, live[0].iterations)
        key = await self._around.directory.decoy_key()
        return _shown(
            hmac.digest(key, f"{self._mechanism}\0{name}".encode(), "sha256")[:SALT_BYTES], self._around.iterations
        )

    async def _credentials(self, name: str) -> tuple[Identity | None, list[ScramCredential]]:
        identity = await self._around.directory.get(name)
        return identity, live_credentials(identity, self._mechanism, self._around.now())


def scram_authenticators(name: str, settings: Scram, around: ScramSurroundings) -> Sequence[Authenticator]:
    """Each mechanism with channel binding and, unless that is required, without."""
    ways = (True,) if settings.channel_binding == "required" else (True, False)
    return [
        ScramAuthenticator(name, mechanism, around, is_bound=is_bound)
        for mechanism in settings.mechanisms
        for is_bound in ways
    ]


def _shown(salt: bytes, iterations: int) -> str:
    return f"s={base64.b64encode(salt).decode()},i={iterations}"


def _text(data: bytes | None) -> str:
    if data is None or len(data) > MESSAGE_BYTES_MAX:
        raise refuse("no message of SCRAM, or a very long one")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise refuse("the message is not UTF-8") from None


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise refuse("a field is not base64") from None
