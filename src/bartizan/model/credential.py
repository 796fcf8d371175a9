"""What can prove an identity. Several may be live at once, so that rotation locks nobody out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """A password, kept as an argon2id hash in PHC form; the password itself is never kept."""

    id: str
    hash: str = field(repr=False)
    created_at: datetime
    must_change: bool = False
    """A one-time secret: it proves who someone is only for setting a password of their own."""

    kind: Literal["password"] = "password"


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A certificate issued for the identity. `revoked_at` ends it before `not_after` does."""

    id: str
    fingerprint_sha256: str
    serial_hex: str
    created_at: datetime
    not_after: datetime
    revoked_at: datetime | None = None

    kind: Literal["certificate"] = "certificate"


Credential = PasswordCredential | CertificateCredential
