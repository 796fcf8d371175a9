"""Identities and groups to rows and back. Times are ISO 8601 in UTC."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bartizan.model.ban import Ban, BanOf
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.throttle import Throttle
from bartizan.model.usage import Usage

Row = Mapping[Any, Any]
"""A row by column name, as SQLAlchemy gives and takes it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {str(state): state for state in IdentityState}
_OF_A_KIND = (
    "hash",
    "must_change",
    "fingerprint_sha256",
    "serial_hex",
    "issuer",
    "not_after",
    "mechanism",
    "iterations",
    "salt",
    "stored_key",
    "server_key",
)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _text_or_none(at: datetime | None) -> str | None:
    return None if at is None else _text(at)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def identity_row(identity: Identity, revision: int) -> Row:
    """The row of table `identity`."""
    return {
        "name": str(identity.name),
        "state": identity.state.value,
        "note": identity.note,
        "created_at": _text(identity.created_at),
        "revision": revision,
        "owner": identity.owner,
        "quarantined_until": _text_or_none(identity.quarantined_until),
        "quarantine_reason": identity.quarantine_reason,
        "quarantine_ticket": identity.quarantine_ticket,
        "quarantined_by": identity.quarantined_by,
    }


def role_rows(identity: Identity) -> list[Row]:
    """The rows of table `identity_role`."""
    return [
        {"identity": str(identity.name), "role": str(role), "position": at} for at, role in enumerate(identity.roles)
    ]


def attribute_rows(identity: Identity) -> list[Row]:
    """The rows of table `identity_attribute`."""
    return [
        {"identity": str(identity.name), "attribute": str(key), "value": value} for key, value in identity.attributes
    ]


def member_rows(identity: Identity) -> list[Row]:
    """The rows of table `group_member`."""
    name = str(identity.name)
    return [{"identity": name, "group_name": str(group), "position": at} for at, group in enumerate(identity.groups)]


def credential_rows(identity: Identity) -> list[Row]:
    """The rows of table `credential`, all with the same columns."""
    return [_credential_row(str(identity.name), credential) for credential in identity.credentials]


def _credential_row(name: str, credential: Credential) -> Row:
    row: dict[str, Any] = dict.fromkeys(_OF_A_KIND) | {
        "identity": name,
        "id": credential.id,
        "kind": credential.kind,
        "created_at": _text(credential.created_at),
        "expires_at": _text_or_none(credential.expires_at),
        "revoked_at": _text_or_none(credential.revoked_at),
        "note": credential.note,
    }
    match credential:
        case PasswordCredential():
            return row | {"hash": credential.hash, "must_change": int(credential.must_change)}
        case CertificateCredential():
            return row | {
                "fingerprint_sha256": credential.fingerprint_sha256,
                "serial_hex": credential.serial_hex,
                "issuer": credential.issuer,
                "not_after": _text_or_none(credential.not_after),
            }
        case ScramCredential():
            return row | {
                "mechanism": credential.mechanism,
                "iterations": credential.iterations,
                "salt": credential.salt.hex(),
                "stored_key": credential.stored_key.hex(),
                "server_key": credential.server_key.hex(),
            }


def credential_of(row: Row) -> Credential:
    """The credential of one row."""
    shared: dict[str, Any] = {
        "id": row["id"],
        "created_at": datetime.fromisoformat(row["created_at"]),
        "expires_at": _time_or_none(row["expires_at"]),
        "revoked_at": _time_or_none(row["revoked_at"]),
        "note": row["note"],
    }
    if row["kind"] == "password":
        return PasswordCredential(hash=row["hash"], must_change=bool(row["must_change"]), **shared)
    if row["kind"] == "scram":
        return ScramCredential(
            mechanism=row["mechanism"],
            iterations=row["iterations"],
            salt=bytes.fromhex(row["salt"]),
            stored_key=bytes.fromhex(row["stored_key"]),
            server_key=bytes.fromhex(row["server_key"]),
            **shared,
        )
    return CertificateCredential(
        fingerprint_sha256=row["fingerprint_sha256"],
        serial_hex=row["serial_hex"],
        issuer=row["issuer"] or "",
        not_after=_time_or_none(row["not_after"]),
        **shared,
    )


def identity_of(
    row: Row, roles: Sequence[Row], attributes: Sequence[Row], credentials: Sequence[Row], members: Sequence[Row]
) -> Identity:
    """The identity of one row and the rows that belong to it."""
    return Identity(
        name=IdentityName(row["name"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        roles=tuple(RoleName(role["role"]) for role in roles),
        attributes=tuple((AttributeName(item["attribute"]), item["value"]) for item in attributes),
        state=_STATES[row["state"]],
        note=row["note"],
        credentials=tuple(credential_of(item) for item in credentials),
        revision=row["revision"],
        groups=tuple(GroupName(member["group_name"]) for member in members),
        owner=row["owner"],
        quarantined_until=_time_or_none(row["quarantined_until"]),
        quarantine_reason=row["quarantine_reason"],
        quarantine_ticket=row["quarantine_ticket"],
        quarantined_by=row["quarantined_by"],
    )


def group_row(group: Group, revision: int) -> Row:
    """The row of table `identity_group`."""
    return {
        "name": str(group.name),
        "note": group.note,
        "created_at": _text(group.created_at),
        "revision": revision,
    }


def group_role_rows(group: Group) -> list[Row]:
    """The rows of table `group_role`."""
    return [{"group_name": str(group.name), "role": str(role), "position": at} for at, role in enumerate(group.roles)]


def group_of(row: Row, roles: Sequence[Row]) -> Group:
    """The group of one row and the rows of its roles."""
    return Group(
        name=GroupName(row["name"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        roles=tuple(RoleName(role["role"]) for role in roles),
        note=row["note"],
        revision=row["revision"],
    )


def ban_row(ban: Ban) -> Row:
    """The row of table `ban`."""
    return {
        "id": ban.id,
        "kind": ban.of.value,
        "what": ban.what,
        "issuer": ban.issuer,
        "reason": ban.reason,
        "banned_by": ban.by,
        "created_at": _text(ban.created_at),
        "until": _text_or_none(ban.until),
    }


def ban_of(row: Row) -> Ban:
    """The ban of one row."""
    return Ban(
        of=BanOf(row["kind"]),
        what=row["what"],
        created_at=datetime.fromisoformat(row["created_at"]),
        until=_time_or_none(row["until"]),
        issuer=row["issuer"],
        reason=row["reason"],
        by=row["banned_by"],
    )


def throttle_row(throttle: Throttle) -> dict[str, Any]:
    """The row of table `throttle`."""
    return {
        "identity": throttle.identity,
        "messages_per_s": throttle.messages_per_s,
        "bytes_per_s": throttle.bytes_per_s,
        "until": _text(throttle.until),
        "reason": throttle.reason,
        "throttled_by": throttle.by,
    }


def throttle_of(row: Row) -> Throttle:
    """The throttle of one row."""
    return Throttle(
        identity=row["identity"],
        messages_per_s=row["messages_per_s"],
        bytes_per_s=row["bytes_per_s"],
        until=datetime.fromisoformat(row["until"]),
        reason=row["reason"],
        by=row["throttled_by"],
    )


def usage_row(usage: Usage) -> Row:
    """The row of table `identity_usage`."""
    return {
        "identity": str(usage.name),
        "credential_id": usage.credential_id,
        "last_seen_ms": (usage.last_seen_at - _EPOCH) // timedelta(milliseconds=1),
        "address": usage.address,
    }


def usage_of(row: Row) -> Usage:
    """The usage of one row."""
    return Usage(
        name=IdentityName(row["identity"]),
        last_seen_at=_EPOCH + timedelta(milliseconds=row["last_seen_ms"]),
        credential_id=row["credential_id"],
        address=row["address"],
    )
