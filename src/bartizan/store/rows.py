"""Identities to rows and back. Times are ISO 8601 in UTC."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential
from bartizan.model.ids import AttributeName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState

Row = Mapping[Any, Any]
"""A row by column name, as SQLAlchemy gives and takes it."""


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def identity_row(identity: Identity, revision: int) -> Row:
    """The row of table `identity`."""
    return {
        "name": str(identity.name),
        "state": identity.state.value,
        "note": identity.note,
        "created_at": _text(identity.created_at),
        "revision": revision,
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


def credential_rows(identity: Identity) -> list[Row]:
    """The rows of table `credential`, all with the same columns."""
    return [_credential_row(str(identity.name), credential) for credential in identity.credentials]


def _credential_row(name: str, credential: Credential) -> Row:
    row: dict[str, Any] = dict.fromkeys(
        ("hash", "must_change", "fingerprint_sha256", "serial_hex", "not_after", "revoked_at")
    )
    row |= {
        "identity": name,
        "id": credential.id,
        "kind": credential.kind,
        "created_at": _text(credential.created_at),
    }
    if isinstance(credential, PasswordCredential):
        return row | {"hash": credential.hash, "must_change": int(credential.must_change)}
    return row | {
        "fingerprint_sha256": credential.fingerprint_sha256,
        "serial_hex": credential.serial_hex,
        "not_after": _text(credential.not_after),
        "revoked_at": _text(credential.revoked_at) if credential.revoked_at else None,
    }


def _credential(row: Row) -> Credential:
    created_at = datetime.fromisoformat(row["created_at"])
    if row["kind"] == "password":
        return PasswordCredential(
            id=row["id"], hash=row["hash"], created_at=created_at, must_change=bool(row["must_change"])
        )
    return CertificateCredential(
        id=row["id"],
        fingerprint_sha256=row["fingerprint_sha256"],
        serial_hex=row["serial_hex"],
        created_at=created_at,
        not_after=datetime.fromisoformat(row["not_after"]),
        revoked_at=datetime.fromisoformat(row["revoked_at"]) if row["revoked_at"] else None,
    )


def identity_of(row: Row, roles: Sequence[Row], attributes: Sequence[Row], credentials: Sequence[Row]) -> Identity:
    """The identity of one row and the rows that belong to it."""
    return Identity(
        name=IdentityName(row["name"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        roles=tuple(RoleName(role["role"]) for role in roles),
        attributes=tuple((AttributeName(item["attribute"]), item["value"]) for item in attributes),
        state=IdentityState(row["state"]),
        note=row["note"],
        credentials=tuple(_credential(item) for item in credentials),
        revision=row["revision"],
    )
