"""What can prove an identity. Several may be live at once, so that rotation locks nobody out.

`expires_at` ends a credential when its successor has had time to arrive, `revoked_at` ends it now. One that
has ended stays on record, and proves nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from bartizan.errors import InvalidValue

ScramMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]
SCRAM_MECHANISMS: Final[tuple[ScramMechanism, ...]] = ("SCRAM-SHA-256", "SCRAM-SHA-512")

SCRAM_ITERATIONS: Final = 15_000
"""Rounds of PBKDF2 that the client computes at each login: a small device takes some hundred milliseconds for them."""

SCRAM_ITERATIONS_MIN: Final = 4_096
"""RFC 7677, 4."""

SCRAM_ITERATIONS_MAX: Final = 1_000_000
"""More keep a client busy for longer than an exchange may last."""


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """A password, kept as a hash: argon2id in PHC form, or Mosquitto's `$7$` and `$6$` as they were read."""

    id: str
    hash: str = field(repr=False)
    created_at: datetime
    must_change: bool = False
    """A one-time secret: it proves who someone is only for setting a password of their own."""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    note: str = ""

    kind: Literal["password"] = "password"

    def is_live(self, at: datetime) -> bool:
        """Whether it may prove anything at this time."""
        return _is_live(self, at)


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A certificate issued for the identity. `expires_at` or `revoked_at` may end it before `not_after` does.

    Of one that another CA issued, serial number and issuer may be all that is known.
    """

    id: str
    fingerprint_sha256: str
    """Empty where it is known by serial number and issuer alone."""
    serial_hex: str
    created_at: datetime
    not_after: datetime | None
    """None where only the certificate itself knows."""
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    note: str = ""
    issuer: str = ""
    """The issuer's name as RFC 4514 writes it; empty: our own CA."""

    kind: Literal["certificate"] = "certificate"

    def __post_init__(self) -> None:
        # A serial number is unique to its CA, and to nobody else.
        if not self.fingerprint_sha256 and not (self.serial_hex and self.issuer):
            raise InvalidValue("a certificate is known by its fingerprint, or by serial number and issuer")
        if self.fingerprint_sha256 and self.not_after is None:
            raise InvalidValue("a certificate that is known by its fingerprint has an end")

    def is_live(self, at: datetime) -> bool:
        """Whether it may prove anything at this time."""
        return _is_live(self, at) and (self.not_after is None or at < self.not_after)


@dataclass(frozen=True, slots=True)
class ScramCredential:
    """What SCRAM (RFC 5802) keeps of a password: keys that prove it, and cannot be presented in its place."""

    id: str
    mechanism: ScramMechanism
    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    note: str = ""

    kind: Literal["scram"] = "scram"

    def is_live(self, at: datetime) -> bool:
        """Whether it may prove anything at this time."""
        return _is_live(self, at)


Credential = PasswordCredential | CertificateCredential | ScramCredential


def _is_live(credential: Credential, at: datetime) -> bool:
    return credential.revoked_at is None and (credential.expires_at is None or at < credential.expires_at)
