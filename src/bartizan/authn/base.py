"""What a CONNECT brings, what an authenticator makes of it, what is answered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from bartizan.errors import BartizanError
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode


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


@dataclass(frozen=True, slots=True)
class Proof:
    """Who it is, and until when that holds (None: no end of its own)."""

    principal: Principal
    expires_at: datetime | None = None
    may_use_any_client_id: bool = False
    """For clients without a name of their own (anonymous); still never an identity's."""


class Denied(BartizanError):  # noqa: N818  as in errors.py
    """The credentials do not hold. `why` is for the log, never for the client."""

    def __init__(self, reason: ReasonCode, why: str) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why


class Authenticator(Protocol):
    """One way to prove an identity."""

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof; None if the request holds nothing of this kind; `Denied` if what it holds is wrong."""
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

    @property
    def allowed(self) -> bool:
        """Whether the client may in."""
        return self.principal is not None

    @classmethod
    def allow(cls, proof: Proof, assigned_prefix: str | None = None) -> Self:
        """Lets the client in."""
        return cls(ReasonCode.SUCCESS, proof.principal, proof.expires_at, assigned_prefix)

    @classmethod
    def deny(cls, reason: ReasonCode, why: str) -> Self:
        """Refuses the client."""
        return cls(reason, why=why)
