"""Rotation: a new credential beside the old one, until the device has moved. And who has not yet.

Pure: time comes in as an argument.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bartizan.errors import InvalidValue, NotFound
from bartizan.model.credential import CertificateCredential, Credential, ScramCredential
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage

OVERLAP_MAX = timedelta(days=365)
"""A longer overlap is none: both would simply stay."""

KEPT_FOR = timedelta(days=90)
"""How long a credential that has ended stays on record; a revoked certificate stays until it would have ended."""

CREDENTIALS_MAX = 32
"""Live credentials of one identity at once: each password among them may cost a hash at CONNECT."""


def rotated(identity: Identity, *new: Credential, at: datetime, overlap: timedelta) -> Identity:
    """The identity with new credentials; live ones of the same kinds end after `overlap`, none later than before."""
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise InvalidValue(f"an overlap is 0 to {OVERLAP_MAX.days} days")
    ends, kinds = at + overlap, {credential.kind for credential in new}
    kept = [
        replace(item, expires_at=min(item.expires_at or ends, ends))
        if item.kind in kinds and item.is_live(at)
        else item
        for item in identity.credentials
        if not _is_forgotten(item, at)
    ]
    if sum(item.is_live(at) for item in kept) + len(new) > CREDENTIALS_MAX:
        raise InvalidValue(f"{identity.name!r} has {CREDENTIALS_MAX} live credentials: revoke some first")
    return replace(identity, credentials=(*kept, *new))


def revoked(identity: Identity, ids: Collection[str] | None, *, at: datetime) -> Identity:
    """The identity with these credentials ended now; None for all of them."""
    unknown = sorted(set(ids or ()) - {item.id for item in identity.credentials})
    if unknown:
        raise NotFound(f"identity {identity.name!r} has no credential {unknown[0]!r}")
    return replace(
        identity,
        credentials=tuple(
            replace(item, revoked_at=at) if item.revoked_at is None and (ids is None or item.id in ids) else item
            for item in identity.credentials
        ),
    )


def _is_forgotten(credential: Credential, at: datetime) -> bool:
    ended = [end for end in (credential.expires_at, credential.revoked_at) if end is not None]
    if isinstance(credential, CertificateCredential):
        if credential.revoked_at is not None and (credential.not_after is None or at < credential.not_after):
            return False  # the CRL names it, or nothing else refuses it
        ended += [] if credential.not_after is None else [credential.not_after]
    return bool(ended) and min(ended) + KEPT_FOR <= at


@dataclass(frozen=True, slots=True)
class Held:
    """One credential of one identity, and when it was last used."""

    identity: Identity
    credential: Credential
    last_used_at: datetime | None
    successor: Credential | None
    """The newest live one of its kind, where that is another."""
    is_stale: bool
    """Still live though it has a successor, and its holder has not moved to that one."""


def _line_of(credential: Credential) -> str:
    """Credentials of one line succeed each other: SCRAM keys of two mechanisms stand side by side."""
    return credential.mechanism if isinstance(credential, ScramCredential) else credential.kind


def held(identities: Iterable[Identity], usages: Iterable[Usage], *, at: datetime) -> list[Held]:
    """Every credential of these identities, in their order."""
    used = {(str(usage.name), usage.credential_id): usage.last_seen_at for usage in usages}
    found: list[Held] = []
    for identity in identities:
        newest: dict[str, Credential] = {}
        for item in sorted(identity.credentials, key=lambda item: item.created_at):
            if item.is_live(at):
                newest[_line_of(item)] = item
        for item in identity.credentials:
            last = used.get((identity.name, item.id))
            successor = newest.get(_line_of(item)) if item.is_live(at) else None
            if successor is None or successor.id == item.id:
                found.append(Held(identity, item, last, None, is_stale=False))
            else:
                moved = used.get((identity.name, successor.id))
                has_moved = moved is not None and (last is None or last <= moved)
                found.append(Held(identity, item, last, successor, is_stale=not has_moved))
    return found
