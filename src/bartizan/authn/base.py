"""What a CONNECT brings, what an authenticator makes of it, what is answered."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, Self

from bartizan.errors import BartizanError, InvalidValue
from bartizan.model.principal import Factor, Principal
from bartizan.model.reason import ReasonCode

DATA_BYTES_MAX = 65_535
"""Binary Data of MQTT has a length of two bytes (1.5.6)."""

STATE_BYTES_MAX = 16_384
"""What an exchange may have the engine keep for it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate that the listener has verified against its CA and CRLs."""

    fingerprint_sha256: str
    serial_hex: str
    common_name: str | None = None
    san_uris: tuple[str, ...] = ()
    san_dns: tuple[str, ...] = ()
    san_emails: tuple[str, ...] = ()
    issuer: str = ""
    not_after: datetime | None = None
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    """DER of it and of what the client sent with it; empty unless the listener's settings need it."""


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """The credentials of one CONNECT. `repr` shows no secret."""

    client_id: str
    listener: str
    address: str
    version: str = "5.0"
    user_name: str | None = None
    password: bytes | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = field(default=None, repr=False)
    again: bool = False
    """A re-authentication: the Client Identifier is the connection's already."""
    exchange_state: bytes | None = field(default=None, repr=False)
    """What the `Challenge` that this answers wanted to have back; None when nothing was asked yet."""
    channel_binding: bytes | None = field(default=None, repr=False)
    """`tls-exporter` (RFC 9266), which both ends of the TLS connection know and nobody else: for CONNECTs that name
    an Authentication Method. None below TLS 1.3 and without TLS."""


class Called(StrEnum):
    """What a User Name is to the proof that came with it."""

    IDENTITY = "identity"
    """It proved nothing: it has to be one that the roles of the identity admit."""
    ACCOUNT = "account"
    """It was proved, as the name of an account that somebody else keeps. Roles that say nothing of names admit it."""
    ANYTHING = "anything"
    """Nobody looks at it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who it is, and until when that holds (None: no end of its own)."""

    principal: Principal
    expires_at: datetime | None = None
    user_name: Called = Called.IDENTITY
    """What a User Name in the CONNECT has to be; none is always good."""
    may_use_any_client_id: bool = False
    """For clients without a name of their own (anonymous); still never an identity's."""
    managed: bool = True
    """True if the identity store keeps the principal, so that a change or removal there reaches this client."""
    data: bytes | None = field(default=None, repr=False)
    """Authentication Data that goes with the success, where the method has some."""
    remembered_s: int = 0
    """Seconds for which the same credential from the same address is good without asking again; a change of
    policy, identities or certificates ends it. 0, for what may change elsewhere: ask every time."""
    factors: frozenset[Factor] | None = None
    """What kinds of proof it rests on; None: those of the principal, or else `external`. Empty, for what judges
    without having been shown anything: it adds no strength to others."""

    @property
    def shown(self) -> frozenset[Factor]:
        """What kinds of proof were shown; none by whoever is anonymous."""
        if self.principal.method == "anonymous":
            return frozenset()
        if self.factors is not None:
            return self.factors
        return self.principal.factors or frozenset({Factor.EXTERNAL})

    def __post_init__(self) -> None:
        if self.data is not None and len(self.data) > DATA_BYTES_MAX:
            raise InvalidValue(f"Authentication Data holds at most {DATA_BYTES_MAX} bytes")


@dataclass(frozen=True, slots=True)
class Challenge:
    """Not proved yet: `data` goes to the client by AUTH, `state` comes back together with its answer.

    The engine keeps `state` with the connection and drops it when the connection ends, so an
    authenticator remembers nothing by itself. At most eight challenges make an exchange, and all of it
    has to end within `connect_timeout_s`.
    """

    data: bytes = field(default=b"", repr=False)
    state: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if len(self.data) > DATA_BYTES_MAX:
            raise InvalidValue(f"a challenge holds at most {DATA_BYTES_MAX} bytes")
        if len(self.state) > STATE_BYTES_MAX:
            raise InvalidValue(f"the state of an exchange holds at most {STATE_BYTES_MAX} bytes")


class Denied(BartizanError):  # noqa: N818  as in errors.py
    """The credentials do not hold. `why` is for the log, never for the client.

    `conclusive`: what was presented is of this kind beyond doubt, so nobody need try it as a password. A token with
    a wrong signature is none.
    """

    def __init__(self, reason: ReasonCode, why: str, *, conclusive: bool = False) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why
        self.conclusive = conclusive


class ProviderUnavailable(BartizanError):  # noqa: N818  as in errors.py
    """Whoever has to be asked outside did not answer in time. To do: look after it, then connect again.

    The client is told 0x88 Server unavailable, unless another entry of the listener's `authentication` proves it.
    `conclusive` as in `Denied`.
    """

    def __init__(self, why: str, *, conclusive: bool = False) -> None:
        super().__init__(why)
        self.conclusive = conclusive


class Authenticator(Protocol):
    """One way to prove an identity.

    Three more attributes may be there, and are read if they are: `name`, by which a listener's `authentication`
    names it (without one: the class's name in lower case); `takes_passwords = True`, if it judges User Name and
    Password as people type them, so that guesses at it are slowed down; and a coroutine `aclose()`, awaited when
    the broker stops.
    """

    @property
    def method(self) -> str | None:
        """The Authentication Method it speaks (MQTT 5, 4.12); None if it looks at a plain CONNECT."""
        ...

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge | None:
        """A proof; None if the request holds nothing of this kind; `Denied` if what it holds is wrong.

        With a method it is asked about CONNECTs, answers and re-authentications that name this method, and
        only those; it may answer `Challenge` and is asked again. Without one it is asked about the others.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one CONNECT: a principal, or a Reason Code."""

    reason: ReasonCode
    principal: Principal | None = None
    expires_at: datetime | None = None
    assigned_prefix: str | None = None
    """Set when the client sent no Client Identifier: an assigned one begins with it."""
    why: str = ""
    managed: bool = True
    data: bytes | None = field(default=None, repr=False)
    remembered_s: int = 0
    challenge: Challenge | None = None
    """Neither yes nor no: the exchange goes on."""

    @property
    def allowed(self) -> bool:
        """Whether the client may in."""
        return self.principal is not None

    @classmethod
    def allow(cls, proof: Proof, assigned_prefix: str | None = None) -> Self:
        """Lets the client in."""
        return cls(
            ReasonCode.SUCCESS,
            proof.principal,
            proof.expires_at,
            assigned_prefix,
            managed=proof.managed,
            data=proof.data,
            remembered_s=proof.remembered_s,
        )

    @classmethod
    def proceed(cls, challenge: Challenge) -> Self:
        """Asks the client on."""
        return cls(ReasonCode.CONTINUE_AUTHENTICATION, challenge=challenge)

    @classmethod
    def deny(cls, reason: ReasonCode, why: str) -> Self:
        """Refuses the client."""
        return cls(reason, why=why)
