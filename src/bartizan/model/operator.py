"""People who run the broker: what they may do, and what proves them. No client of MQTT is one of them."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from bartizan.errors import InvalidValue

_NAME = re.compile(r"[a-z][a-z0-9._@+-]{0,63}\Z")


class OperatorName(str):
    """The name of an operator: lower case, digits and `._@+-`, beginning with a letter; it may be a mail address."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, or `InvalidValue`."""
        if not _NAME.match(text):
            raise InvalidValue(
                f"operator name {text!r}: use a lower-case letter, then letters, digits or '._@+-' (64 at most)"
            )
        return cls(text)


class OperatorRole(StrEnum):
    """What an operator may do; several may be held at once, and none includes another."""

    VIEWER = "viewer"
    """Looks: clients, identities, policy, log."""
    OPERATOR = "operator"
    """Works: disconnects clients, quarantines and enrols identities."""
    SECURITY = "security"
    """Decides: policy, credentials, certificates."""
    ADMIN = "admin"
    """Runs it: settings, operators."""


class OperatorFactor(StrEnum):
    """A kind of proof that a person showed."""

    PASSWORD = "password"  # noqa: S105  the word, not one
    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY = "recovery"
    OIDC = "oidc"
    """An OpenID Provider vouches for it."""
    OIDC_MFA = "oidc-mfa"
    """And says that it was shown two factors."""


@dataclass(frozen=True, slots=True)
class Totp:
    """A shared secret that makes a code of six digits every 30 seconds (RFC 6238)."""

    secret: str = field(repr=False)
    """As base32, the form that authenticator apps take. It has to be kept as it is: a hash makes no codes."""
    created_at: datetime
    confirmed_at: datetime | None = None
    """When a first code showed that the operator's app has it; before that it counts for nothing."""
    last_step: int = 0
    """The step of the newest code that was taken: neither that one nor an older one is taken again."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key of WebAuthn. Only its public half was ever here."""

    id: bytes
    public_key: bytes = field(repr=False)
    """As COSE."""
    sign_count: int
    """What the authenticator counted at its last use; 0 from those that do not count."""
    created_at: datetime
    label: str = ""
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """For once, when the phone is gone. Only its hash is kept."""

    hash: str = field(repr=False)
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator as stored, with everything that can prove it."""

    name: OperatorName
    created_at: datetime
    roles: tuple[OperatorRole, ...] = (OperatorRole.VIEWER,)
    tenant: str = ""
    """The only tenant that it sees; empty: all of them."""
    is_enabled: bool = True
    note: str = ""
    password_hash: str = field(default="", repr=False)
    """argon2id, as PHC text; empty: no password proves it."""
    must_change: bool = False
    """The password was made for it: one of its own is due."""
    totp: Totp | None = None
    passkeys: tuple[Passkey, ...] = ()
    recovery_codes: tuple[RecoveryCode, ...] = field(default=(), repr=False)
    subject: str = ""
    """Who it is to an OpenID Provider: issuer, a space, subject. Empty: it never came by one."""
    revision: int = 0
    """Raised by every write; 0 before the first one."""

    @property
    def has_totp(self) -> bool:
        """Whether codes count."""
        return self.totp is not None and self.totp.confirmed_at is not None

    @property
    def has_second_factor(self) -> bool:
        """Whether a password alone is not enough."""
        return self.has_totp or bool(self.passkeys)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A secret by which a program acts for an operator, with some of what that one may do, until it ends."""

    id: str
    """Names it to people; proves nothing."""
    operator: OperatorName
    hash: str = field(repr=False)
    """SHA-256 of the secret: 256 random bits, which nobody tries one by one."""
    created_at: datetime
    expires_at: datetime
    scopes: tuple[str, ...] = ()
    """Permissions that it is held to; of these, what its operator's roles give at the time."""
    label: str = ""
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OperatorProof:
    """Who logged in, by what, and when: what a session of the API or console is made of."""

    operator: OperatorName
    roles: tuple[OperatorRole, ...]
    tenant: str
    factors: frozenset[OperatorFactor]
    at: datetime
    must_change: bool = False
    passkey: bytes = b""
    """The id of the passkey that was shown, if one was."""
    subject: str = ""
    """Who it is to the OpenID Provider that vouched for it, if one did: as of the operator."""

    @property
    def is_mfa(self) -> bool:
        """Two factors; a passkey is two by itself: what one has, unlocked by what one knows or is."""
        return OperatorFactor.PASSKEY in self.factors or len(self.factors) > 1
