"""Operators to rows and back. Times are ISO 8601 in UTC."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bartizan.model.approval import KeptRequest
from bartizan.model.operator import ApiToken, Operator, OperatorName, OperatorRole, Passkey, RecoveryCode, Totp

Row = Mapping[Any, Any]
"""A row by column name, as SQLAlchemy gives and takes it."""


def operator_row(operator: Operator) -> dict[str, Any]:
    """The row of table `operator`."""
    totp = operator.totp
    return {
        "name": str(operator.name),
        "created_at": _text(operator.created_at),
        "roles": " ".join(role.value for role in operator.roles),
        "tenant": operator.tenant,
        "is_enabled": int(operator.is_enabled),
        "note": operator.note,
        "password_hash": operator.password_hash,
        "must_change": int(operator.must_change),
        "totp_secret": totp.secret if totp else None,
        "totp_created_at": _text(totp.created_at) if totp else None,
        "totp_confirmed_at": _text(totp.confirmed_at) if totp else None,
        "totp_last_step": totp.last_step if totp else None,
        "subject": operator.subject,
        "revision": operator.revision,
    }


def passkey_rows(operator: Operator) -> list[Row]:
    """The rows of table `operator_passkey`."""
    return [
        {
            "operator": str(operator.name),
            "id": key.id.hex(),
            "position": at,
            "public_key": key.public_key.hex(),
            "sign_count": key.sign_count,
            "created_at": _text(key.created_at),
            "last_used_at": _text(key.last_used_at),
            "label": key.label,
        }
        for at, key in enumerate(operator.passkeys)
    ]


def recovery_rows(operator: Operator) -> list[Row]:
    """The rows of table `operator_recovery`."""
    return [
        {"operator": str(operator.name), "position": at, "hash": code.hash, "used_at": _text(code.used_at)}
        for at, code in enumerate(operator.recovery_codes)
    ]


def token_row(token: ApiToken) -> dict[str, Any]:
    """The row of table `operator_token`."""
    return {
        "id": token.id,
        "operator": str(token.operator),
        "hash": token.hash,
        "created_at": _text(token.created_at),
        "expires_at": _text(token.expires_at),
        "scopes": " ".join(token.scopes),
        "label": token.label,
        "last_used_at": _text(token.last_used_at),
    }


def token_of(row: Row) -> ApiToken:
    """The token of a row."""
    return ApiToken(
        id=row["id"],
        operator=OperatorName(row["operator"]),
        hash=row["hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        scopes=tuple(row["scopes"].split()),
        label=row["label"],
        last_used_at=_time(row["last_used_at"]),
    )


def approval_row(request: KeptRequest) -> dict[str, Any]:
    """The row of table `approval`."""
    return {
        "id": request.id,
        "asked_at": time_of(request.asked_at),
        "ends_at": time_of(request.ends_at),
        "request": request.text,
    }


def approval_of(row: Row) -> KeptRequest:
    """The request of a row."""
    asked_at, ends_at = (datetime.fromisoformat(row[name]) for name in ("asked_at", "ends_at"))
    return KeptRequest(row["id"], asked_at, ends_at, row["request"])


def time_of(at: datetime) -> str:
    """A time as it is kept."""
    return at.astimezone(UTC).isoformat()


def operator_of(row: Row, passkeys: Sequence[Row], codes: Sequence[Row]) -> Operator:
    """The operator of one row and the rows that belong to it."""
    return Operator(
        name=OperatorName(row["name"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        roles=tuple(OperatorRole(word) for word in row["roles"].split()),
        tenant=row["tenant"],
        is_enabled=bool(row["is_enabled"]),
        note=row["note"],
        password_hash=row["password_hash"],
        must_change=bool(row["must_change"]),
        totp=_totp(row),
        passkeys=tuple(map(_passkey, passkeys)),
        recovery_codes=tuple(RecoveryCode(code["hash"], _time(code["used_at"])) for code in codes),
        subject=row["subject"],
        revision=row["revision"],
    )


def _totp(row: Row) -> Totp | None:
    if row["totp_secret"] is None:
        return None
    return Totp(
        secret=row["totp_secret"],
        created_at=datetime.fromisoformat(row["totp_created_at"]),
        confirmed_at=_time(row["totp_confirmed_at"]),
        last_step=row["totp_last_step"],
    )


def _passkey(row: Row) -> Passkey:
    return Passkey(
        id=bytes.fromhex(row["id"]),
        public_key=bytes.fromhex(row["public_key"]),
        sign_count=row["sign_count"],
        created_at=datetime.fromisoformat(row["created_at"]),
        label=row["label"],
        last_used_at=_time(row["last_used_at"]),
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
