"""A new password for an identity, made here and shown once: as a hash, or as the SCRAM keys that it has."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from bartizan.errors import InvalidValue
from bartizan.identity.passwords import generate_secret
from bartizan.identity.register import Register, password_credential
from bartizan.identity.scram import successors
from bartizan.model.credential import Credential
from bartizan.model.principal import Identity

SecretKind = Literal["password", "scram"]


def earlier_end(identity: Identity, kind: str, *, at: datetime, overlap: timedelta) -> datetime | None:
    """When credentials of this kind will have ended; None if there is none."""
    return at + overlap if any(item.kind == kind and item.is_live(at) for item in identity.credentials) else None


async def renew_secret(
    register: Register, identity: Identity, kind: SecretKind, *, at: datetime, overlap: timedelta, note: str = ""
) -> str:
    """Gives it a new password, returned this once; earlier ones of its kind still work for `overlap`."""
    secret = generate_secret()
    await register.rotate(identity.name, *_kept_of(secret, identity, kind, at=at, note=note), at=at, overlap=overlap)
    return secret


def _kept_of(secret: str, identity: Identity, kind: SecretKind, *, at: datetime, note: str) -> Sequence[Credential]:
    if kind == "password":
        return [password_credential(secret, at=at, note=note)]
    new = successors(identity, secret, at=at, note=note)
    if not new:
        raise InvalidValue(f"{identity.name!r} has no SCRAM keys: bartizan passwd {identity.name} --scram both")
    return new
