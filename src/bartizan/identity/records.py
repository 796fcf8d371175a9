"""Identities as plain values: what `--json` prints, and what a CSV file holds of credentials.

No secret is in a record but where `secrets` asks for it; then it holds hashes and keys, never a password.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bartizan.errors import InvalidValue
from bartizan.model.credential import (
    SCRAM_ITERATIONS_MAX,
    SCRAM_ITERATIONS_MIN,
    SCRAM_MECHANISMS,
    CertificateCredential,
    Credential,
    PasswordCredential,
    ScramCredential,
)
from bartizan.model.group import Group
from bartizan.model.ids import parse_remark
from bartizan.model.operator import ApiToken, Operator
from bartizan.model.principal import Identity

HASHES = ("$argon2id$", "$7$", "$6$")
"""What a password hash begins with: PHC, and Mosquitto's two."""

FINGERPRINT_CHARS = 64
KEY_BYTES_MAX = 1_024
"""A longer salt or key is none."""

# What is stored is compared, shown and indexed: nothing but plain characters, and few of them.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HASH = re.compile(r"[!-~]{1,1024}\Z")
_SERIAL = re.compile(r"[0-9a-f]{1,128}\Z")


def identity_record(identity: Identity, *, at: datetime) -> dict[str, Any]:
    """An identity without its credentials."""
    return {
        "identity": str(identity.name),
        "state": identity.state_at(at).value,
        "roles": list(identity.roles),
        "groups": list(identity.groups),
        "attributes": dict(identity.attributes),
        "owner": identity.owner,
        "note": identity.note,
        "created_at": time_text(identity.created_at),
        "quarantined_until": time_text(identity.quarantined_until),
        "quarantine_reason": identity.quarantine_reason,
        "quarantine_ticket": identity.quarantine_ticket,
        "quarantined_by": identity.quarantined_by,
    }


def group_record(group: Group) -> dict[str, Any]:
    """A group."""
    return {
        "group": str(group.name),
        "roles": list(group.roles),
        "note": group.note,
        "created_at": time_text(group.created_at),
    }


def credential_record(credential: Credential, *, secrets: bool = False) -> dict[str, Any]:
    """A credential; `secrets` with what is kept of its secret."""
    record: dict[str, Any] = {
        "id": credential.id,
        "kind": credential.kind,
        "created_at": time_text(credential.created_at),
        "expires_at": time_text(credential.expires_at),
        "revoked_at": time_text(credential.revoked_at),
        "note": credential.note,
    }
    match credential:
        case PasswordCredential():
            record |= {"must_change": credential.must_change}
            return record | ({"hash": credential.hash} if secrets else {})
        case CertificateCredential():
            return record | {
                "fingerprint_sha256": credential.fingerprint_sha256,
                "serial_hex": credential.serial_hex,
                "issuer": credential.issuer,
                "not_after": time_text(credential.not_after),
            }
        case ScramCredential():
            record |= {"mechanism": credential.mechanism, "iterations": credential.iterations}
            keys = {name: getattr(credential, name).hex() for name in ("salt", "stored_key", "server_key")}
            return record | (keys if secrets else {})


def operator_record(operator: Operator) -> dict[str, Any]:
    """An operator with its second factors, and no secret of any."""
    factors = ["totp"] * operator.has_totp + ["passkey"] * bool(operator.passkeys)
    return {
        "operator": str(operator.name),
        "roles": [role.value for role in operator.roles],
        "tenant": operator.tenant,
        "enabled": operator.is_enabled,
        "note": operator.note,
        "created_at": time_text(operator.created_at),
        "must_change_password": operator.must_change,
        "second_factor": factors,
        "totp": "on" if operator.has_totp else "not confirmed" if operator.totp else "off",
        "recovery_codes_left": sum(code.used_at is None for code in operator.recovery_codes),
        "passkeys": passkey_records(operator),
        "subject": operator.subject,
    }


def passkey_records(operator: Operator) -> list[dict[str, Any]]:
    """The passkeys of an operator, the oldest first, without their public halves."""
    return [
        {
            "id": key.id.hex(),
            "label": key.label,
            "created_at": time_text(key.created_at),
            "last_used_at": time_text(key.last_used_at),
        }
        for key in operator.passkeys
    ]


def token_record(token: ApiToken) -> dict[str, Any]:
    """A token of an operator, without what proves it."""
    return {
        "id": token.id,
        "operator": str(token.operator),
        "scopes": list(token.scopes),
        "label": token.label,
        "created_at": time_text(token.created_at),
        "expires_at": time_text(token.expires_at),
        "last_used_at": time_text(token.last_used_at),
    }


def parse_credential(record: Mapping[str, Any]) -> Credential:
    """The credential of a record with secrets; `InvalidValue` for anything else."""
    kind = record.get("kind")
    make = _MAKE.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise InvalidValue(f"a credential's kind is password, certificate or scram, not {kind!r}")
    try:
        shared = {
            "id": _matching(_ID, record["id"], "id"),
            "created_at": parse_time(record["created_at"]),
            "expires_at": _time_or_none(record.get("expires_at")),
            "revoked_at": _time_or_none(record.get("revoked_at")),
            "note": parse_remark(record.get("note", "")),
        }
        return make(record, shared)
    except KeyError as error:
        raise InvalidValue(f"a credential of kind {kind} lacks {error.args[0]!r}") from None
    except (TypeError, AttributeError):
        raise InvalidValue(f"a credential of kind {kind} has a value of the wrong type") from None


def parse_hash(text: str) -> str:
    """A password hash of a kind that is read."""
    if not text.startswith(HASHES) or not _HASH.match(text):
        raise InvalidValue(f"a password hash begins with one of {', '.join(HASHES)}")
    return text


def parse_time(text: str) -> datetime:
    """An ISO 8601 time; without an offset, UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(f"{text!r} is no time: write it as 2026-11-30 or 2026-11-30T14:00:00+01:00") from None


def time_text(at: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat()


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _password(record: Mapping[str, Any], shared: dict[str, Any]) -> Credential:
    return PasswordCredential(hash=parse_hash(record["hash"]), must_change=record.get("must_change") is True, **shared)


def _certificate(record: Mapping[str, Any], shared: dict[str, Any]) -> Credential:
    fingerprint = record["fingerprint_sha256"].lower()
    if fingerprint and len(_bytes(fingerprint)) * 2 != FINGERPRINT_CHARS:
        raise InvalidValue("fingerprint_sha256 is 64 hexadecimal digits, or empty")
    return CertificateCredential(
        fingerprint_sha256=fingerprint,
        serial_hex=_matching(_SERIAL, record["serial_hex"].lower(), "serial_hex"),
        issuer=parse_remark(record.get("issuer", "")),
        not_after=_time_or_none(record["not_after"]),
        **shared,
    )


def _scram(record: Mapping[str, Any], shared: dict[str, Any]) -> Credential:
    if record["mechanism"] not in SCRAM_MECHANISMS:
        raise InvalidValue(f"mechanism is {' or '.join(SCRAM_MECHANISMS)}")
    iterations = record["iterations"]
    if type(iterations) is not int or not SCRAM_ITERATIONS_MIN <= iterations <= SCRAM_ITERATIONS_MAX:
        raise InvalidValue(f"iterations is an integer, {SCRAM_ITERATIONS_MIN} to {SCRAM_ITERATIONS_MAX}")
    return ScramCredential(
        mechanism=record["mechanism"],
        iterations=iterations,
        salt=_bytes(record["salt"]),
        stored_key=_bytes(record["stored_key"]),
        server_key=_bytes(record["server_key"]),
        **shared,
    )


def _bytes(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise InvalidValue(f"{text[:20]!r} is not hexadecimal") from None
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise InvalidValue(f"a salt, key or fingerprint has 1 to {KEY_BYTES_MAX} bytes")
    return key


def _matching(form: re.Pattern[str], text: str, name: str) -> str:
    if not form.match(text):
        raise InvalidValue(f"{name} {text[:40]!r} is none: plain characters, and few of them")
    return text


_MAKE: Mapping[str, Callable[[Mapping[str, Any], dict[str, Any]], Credential]] = {
    "password": _password,
    "certificate": _certificate,
    "scram": _scram,
}
