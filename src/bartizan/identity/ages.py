"""How old a credential may become, and which ones are near their end. Pure: time comes in as an argument."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential
from bartizan.model.principal import Identity

WARNED_DAYS = (30, 7, 1)
"""Somebody is warned so many days before a credential ends."""

NEAR_END = timedelta(days=WARNED_DAYS[0])

Why = Literal["age", "certificate", "rotation"]
"""It grows too old for its role; the certificate itself ends; somebody gave it an end."""


@dataclass(frozen=True, slots=True)
class AgeLimits:
    """How many days old credentials may become: what roles say, and what holds where they say nothing."""

    usual: Mapping[str, int]
    """By kind of credential."""
    of_roles: Callable[[Iterable[str]], Mapping[str, int]]
    """Of several roles the strictest, as `CompiledPolicy.credential_days_max`."""

    def days(self, kind: str, roles: Iterable[str]) -> int | None:
        """How old a credential of this kind may become; None: no limit."""
        return self.of_roles(roles).get(kind, self.usual.get(kind))

    def end(self, credential: Credential, roles: Iterable[str]) -> datetime | None:
        """When it is too old."""
        days = self.days(credential.kind, roles)
        return None if days is None else credential.created_at + timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Ending:
    """A credential that ends, or ended, without a successor."""

    identity: Identity
    credential: Credential
    ends_at: datetime
    why: Why

    def days_left(self, at: datetime) -> int:
        """Whole days until then; 0 on the last day, and less than 0 afterwards."""
        return (self.ends_at - at).days


def endings(identity: Identity, limits: AgeLimits, *, at: datetime, within: timedelta = NEAR_END) -> list[Ending]:
    """Of each kind the credential of this identity that lasts longest, if it ends within that time or has ended.

    One that has a successor is none of them: its holder has only to move.
    """
    longest: dict[str, Ending | None] = {}
    for credential in identity.credentials:
        if not _counts(credential, at):
            continue
        ending = _ending(identity, credential, limits)
        before = longest.get(credential.kind, ending)
        if ending is None or before is None:
            longest[credential.kind] = None
        else:
            longest[credential.kind] = max(before, ending, key=lambda one: one.ends_at)
    return [one for one in longest.values() if one is not None and one.ends_at <= at + within]


def _counts(credential: Credential, at: datetime) -> bool:
    if credential.revoked_at is not None or (credential.expires_at is not None and credential.expires_at <= at):
        return False
    # A one-time secret is to be replaced anyway.
    return not (isinstance(credential, PasswordCredential) and credential.must_change)


def _ending(identity: Identity, credential: Credential, limits: AgeLimits) -> Ending | None:
    ends = dict(_ends(identity, credential, limits))
    if not ends:
        return None
    why = min(ends, key=lambda each: ends[each])
    return Ending(identity, credential, ends[why], why)


def _ends(identity: Identity, credential: Credential, limits: AgeLimits) -> Iterator[tuple[Why, datetime]]:
    # In this order: of two that are the same moment, what the certificate says is told.
    if isinstance(credential, CertificateCredential) and credential.not_after is not None:
        yield "certificate", credential.not_after
    if credential.expires_at is not None:
        yield "rotation", credential.expires_at
    if (too_old := limits.end(credential, identity.roles)) is not None:
        yield "age", too_old
