"""Identities, groups and operators as records show them: no hash, key or secret; and what a change makes different.

Of a secret that changed, that it changed is all that is said.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bartizan.audit.record import time_text
from bartizan.model.ban import Ban
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.operator import ApiToken, Operator
from bartizan.model.principal import Identity
from bartizan.model.throttle import Throttle

Shown = Mapping[str, Any]
Difference = tuple[dict[str, Any], dict[str, Any]]
"""What was before, and what is after; only where they differ."""

CHANGED = "changed"


def identity(one: Identity) -> Shown:
    """An identity."""
    return _kept(
        state=one.state.value,
        roles=list(one.roles),
        groups=list(one.groups),
        attributes=dict(one.attributes),
        owner=one.owner,
        note=one.note,
        quarantined_until=_time(one.quarantined_until),
        quarantine_reason=one.quarantine_reason,
        quarantine_ticket=one.quarantine_ticket,
        quarantined_by=one.quarantined_by,
        credentials={item.id: credential(item) for item in one.credentials},
    )


def credential(one: Credential) -> Shown:
    """What proves an identity, without what proves it."""
    told = _kept(
        kind=one.kind,
        created_at=_time(one.created_at),
        expires_at=_time(one.expires_at),
        revoked_at=_time(one.revoked_at),
        note=one.note,
    )
    match one:
        case PasswordCredential():
            return told | _kept(must_change=one.must_change)
        case ScramCredential():
            return told | {"mechanism": one.mechanism, "iterations": one.iterations}
        case CertificateCredential():
            return told | _kept(
                fingerprint_sha256=one.fingerprint_sha256,
                serial_hex=one.serial_hex,
                issuer=one.issuer,
                not_after=_time(one.not_after),
            )


def group(one: Group) -> Shown:
    """A group."""
    return _kept(roles=list(one.roles), note=one.note)


def ban(one: Ban) -> Shown:
    """A ban."""
    return _kept(
        of=one.of.value,
        what=one.what,
        issuer=one.issuer,
        created_at=_time(one.created_at),
        until=_time(one.until),
        reason=one.reason,
        by=one.by,
    )


def throttle(one: Throttle) -> Shown:
    """A throttle."""
    return _kept(
        messages_per_s=one.messages_per_s or None,
        bytes_per_s=one.bytes_per_s or None,
        until=_time(one.until),
        reason=one.reason,
        by=one.by,
    )


def operator(one: Operator) -> Shown:
    """An operator."""
    totp = one.totp
    return _kept(
        roles=[role.value for role in one.roles],
        tenant=one.tenant,
        enabled=one.is_enabled,
        note=one.note,
        password={"must_change": one.must_change} if one.password_hash else None,
        totp=_kept(created_at=_time(totp.created_at), confirmed_at=_time(totp.confirmed_at)) if totp else None,
        passkeys={key.id.hex(): _kept(label=key.label, created_at=_time(key.created_at)) for key in one.passkeys},
        recovery_codes_left=sum(code.used_at is None for code in one.recovery_codes) or None,
        subject=one.subject,
    )


def token(one: ApiToken) -> Shown:
    """A token of an operator, without what proves it."""
    return _kept(id=one.id, scopes=list(one.scopes), label=one.label, expires_at=_time(one.expires_at))


def of_identities(before: Identity | None, after: Identity | None) -> Difference:
    """What is different between two states of an identity."""
    said = difference(identity(before) if before else {}, identity(after) if after else {})
    if before is None or after is None:
        return said
    kept = {item.id: _secret(item) for item in before.credentials}
    for item in after.credentials:
        if item.id in kept and kept[item.id] != _secret(item):
            said[1].setdefault("credentials", {}).setdefault(item.id, {})["secret"] = CHANGED
    return said


def of_operators(before: Operator | None, after: Operator | None) -> Difference:
    """What is different between two states of an operator. That it logged in is no difference."""
    said = difference(operator(before) if before else {}, operator(after) if after else {})
    if before is None or after is None:
        return said
    if before.password_hash != after.password_hash and after.password_hash:
        said[1].setdefault("password", {})["secret"] = CHANGED
    if before.totp and after.totp and before.totp.secret != after.totp.secret:
        said[1].setdefault("totp", {})["secret"] = CHANGED
    if {code.hash for code in after.recovery_codes} - {code.hash for code in before.recovery_codes}:
        said[1]["recovery_codes"] = CHANGED
    return said


def difference(before: Shown, after: Shown) -> Difference:
    """What differs; of what both have as objects, only what differs in these."""
    lost: dict[str, Any] = {}
    gained: dict[str, Any] = {}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            old, new = difference(old, new)
        if old not in (None, {}):
            lost[key] = old
        if new not in (None, {}):
            gained[key] = new
    return lost, gained


def _secret(one: Credential) -> object:
    match one:
        case PasswordCredential():
            return one.hash
        case ScramCredential():
            return one.salt, one.stored_key, one.server_key
        case CertificateCredential():
            return None


def _kept(**said: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a record may hold
    """Without what says nothing. False is something."""
    return {key: value for key, value in said.items() if value not in (None, "", [], {})}


def _time(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)
