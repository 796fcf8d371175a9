"""An identity as a few hundred bytes: a million of them fit in memory, and none is looked at by the collector.

A record is a flag, the length of the engine's entry, that entry as JSON, and the rest. The entry of an
identity that may connect and is in no group goes to the engine as it lies here, without being unpacked.
"""

import json
import marshal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring as _quoted
from typing import Any

from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.group import Group, acting_roles
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState

_PLAIN = 1
"""Enabled and in no group: its entry is the same at any time."""

_HEAD = 5
_STATES = tuple(IdentityState)


def pack(identity: Identity) -> bytes:
    """The record of an identity."""
    head = _entry(identity, identity.roles)
    # Never leaves this process, so its form needs to be neither stable nor safe to read.
    rest = marshal.dumps(
        (
            _s(identity.created_at),
            _STATES.index(identity.state),
            identity.revision,
            tuple(map(str, identity.groups)),
            identity.note,
            identity.owner,
            _s(identity.quarantined_until),
            identity.quarantine_reason,
            identity.quarantine_ticket,
            identity.quarantined_by,
            tuple(_pack_credential(credential) for credential in identity.credentials),
        ),
        2,
    )
    flag = _PLAIN if identity.state is IdentityState.ENABLED and not identity.groups else 0
    return b"".join((bytes((flag,)), len(head).to_bytes(_HEAD - 1, "big"), head, rest))


def unpack(record: bytes) -> Identity:
    """The identity of a record."""
    ends = _HEAD + int.from_bytes(record[1:_HEAD], "big")
    entry = json.loads(record[_HEAD:ends])
    created, state, revision, groups, note, owner, until, reason, ticket, by, credentials = marshal.loads(  # noqa: S302  our own
        memoryview(record)[ends:]
    )
    return Identity(
        name=IdentityName(entry["id"]),
        created_at=_time(created),
        roles=tuple(map(RoleName, entry["roles"])),
        attributes=tuple((AttributeName(key), value) for key, value in entry["attributes"].items()),
        state=_STATES[state],
        note=note,
        credentials=tuple(_UNPACK[packed[0]](packed) for packed in credentials),
        revision=revision,
        groups=tuple(map(GroupName, groups)),
        owner=owner,
        quarantined_until=_time_or_none(until),
        quarantine_reason=reason,
        quarantine_ticket=ticket,
        quarantined_by=by,
    )


def is_quarantined(record: bytes) -> bool:
    """Whether its state is quarantined, be that over or not."""
    # The flag says that it is enabled, for nearly all of them.
    return record[0] != _PLAIN and unpack(record).state is IdentityState.QUARANTINED


def entry_of(record: bytes, groups: Mapping[str, Group], at: datetime) -> bytes | None:
    """The engine's entry, as JSON; None for an identity that may not connect."""
    if record[0] == _PLAIN:
        return record[_HEAD : _HEAD + int.from_bytes(record[1:_HEAD], "big")]
    identity = unpack(record)
    if identity.refusal(at) is not None:
        return None
    return _entry(identity, acting_roles(identity, groups, at))


def _entry(identity: Identity, roles: tuple[RoleName, ...]) -> bytes:
    # By hand: `json.dumps` makes an encoder for every call, which is most of its cost here.
    attributes = ",".join([f"{_quoted(key)}:{_quoted(value)}" for key, value in identity.attributes])
    each_role, revoked = (",".join(map(_quoted, texts)) for texts in (roles, _revoked(identity)))
    name = _quoted(identity.name)
    return f'{{"id":{name},"roles":[{each_role}],"attributes":{{{attributes}}},"revoked":[{revoked}]}}'.encode()


def _revoked(identity: Identity) -> list[str]:
    """Fingerprints of its revoked certificates: connections that one of them opened end (others: `ended`)."""
    return sorted(
        item.fingerprint_sha256
        for item in identity.credentials
        if isinstance(item, CertificateCredential) and item.revoked_at is not None and item.fingerprint_sha256
    )


def _s(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _time(s: float) -> datetime:
    return datetime.fromtimestamp(s, UTC)


def _time_or_none(s: float | None) -> datetime | None:
    return None if s is None else _time(s)


def _hex(text: str) -> str | bytes:
    """Half as long where it is hexadecimal as we write it."""
    try:
        half = bytes.fromhex(text)
    except ValueError:
        return text
    return half if half.hex() == text else text


def _text(packed: str | bytes) -> str:
    return packed if isinstance(packed, str) else packed.hex()


def _pack_credential(item: Credential) -> tuple[Any, ...]:
    shared = (item.kind, _hex(item.id), *map(_s, (item.created_at, item.expires_at, item.revoked_at)), item.note)
    match item:
        case PasswordCredential():
            return (*shared, item.hash, item.must_change)
        case CertificateCredential():
            ends = _s(item.not_after)
            return (*shared, _hex(item.fingerprint_sha256), _hex(item.serial_hex), ends, item.issuer)
        case ScramCredential():
            return (*shared, item.mechanism, item.iterations, item.salt, item.stored_key, item.server_key)


def _shared(packed: tuple[Any, ...]) -> dict[str, Any]:
    _, id_, created_at, expires_at, revoked_at, note, *_ = packed
    return {
        "id": _text(id_),
        "created_at": _time(created_at),
        "expires_at": _time_or_none(expires_at),
        "revoked_at": _time_or_none(revoked_at),
        "note": note,
    }


def _password(packed: tuple[Any, ...]) -> Credential:
    *_, hash_, must_change = packed
    return PasswordCredential(hash=hash_, must_change=must_change, **_shared(packed))


def _certificate(packed: tuple[Any, ...]) -> Credential:
    *_, fingerprint, serial, not_after, issuer = packed
    return CertificateCredential(
        fingerprint_sha256=_text(fingerprint),
        serial_hex=_text(serial),
        not_after=_time_or_none(not_after),
        issuer=issuer,
        **_shared(packed),
    )


def _scram(packed: tuple[Any, ...]) -> Credential:
    *_, mechanism, iterations, salt, stored_key, server_key = packed
    return ScramCredential(
        mechanism=mechanism,
        iterations=iterations,
        salt=salt,
        stored_key=stored_key,
        server_key=server_key,
        **_shared(packed),
    )


_UNPACK: Mapping[str, Callable[[tuple[Any, ...]], Credential]] = {
    "password": _password,
    "certificate": _certificate,
    "scram": _scram,
}
