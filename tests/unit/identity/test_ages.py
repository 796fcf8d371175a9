"""How old credentials may become: which end when, by what, and which are told."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.identity.ages import AgeLimits, endings
from bartizan.identity.register import certificate_credential, new_identity
from bartizan.model.credential import Credential, PasswordCredential
from bartizan.model.principal import Identity

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def of_roles(roles: Iterable[str]) -> Mapping[str, int]:
    return {"password": 30} if "strict" in roles else {"password": 1_000} if "lax" in roles else {}


LIMITS = AgeLimits({"password": 90, "certificate": 365}, of_roles)


def password(days_old: int, **more) -> PasswordCredential:
    return PasswordCredential(f"p{days_old}", "$argon2id$", AT - timedelta(days=days_old), **more)


def certificate(days_old: int, days_left: int) -> Credential:
    made = certificate_credential(
        fingerprint_sha256="ab" * 32, serial_hex="1", not_after=AT + timedelta(days=days_left), at=AT
    )
    return replace(made, created_at=AT - timedelta(days=days_old))


def holder(*credentials: Credential, role: str = "plain") -> Identity:
    return replace(new_identity("press-01", at=AT, roles=[role]), credentials=credentials)


def told(identity: Identity) -> list[tuple[str, str, int]]:
    return [(one.credential.kind, one.why, one.days_left(AT)) for one in endings(identity, LIMITS, at=AT)]


@pytest.mark.parametrize(
    ("credential", "role", "wanted"),
    [
        (password(1), "plain", []),
        (password(59), "plain", []),
        (password(60), "plain", [("password", "age", 30)]),
        (password(89), "plain", [("password", "age", 1)]),
        (password(100), "plain", [("password", "age", -10)]),
        (password(29), "strict", [("password", "age", 1)]),
        (password(900), "lax", []),
        (password(5, expires_at=AT + timedelta(days=7)), "plain", [("password", "rotation", 7)]),
        (password(88, expires_at=AT + timedelta(days=7)), "plain", [("password", "age", 2)]),
        (password(100, must_change=True), "plain", []),
        (password(100, revoked_at=AT), "plain", []),
        (password(100, expires_at=AT), "plain", []),
        (certificate(300, 65), "plain", []),
        (certificate(340, 25), "plain", [("certificate", "certificate", 25)]),
        (certificate(340, 90), "plain", [("certificate", "age", 25)]),
        (certificate(400, -3), "plain", [("certificate", "age", -35)]),
    ],
)
def test_what_ends_first_is_told_by_its_reason(credential, role, wanted):
    assert told(holder(credential, role=role)) == wanted


def test_what_has_a_successor_is_not_told():
    assert told(holder(password(85), password(2))) == []
    assert told(holder(password(85), certificate(360, 5))) == [
        ("password", "age", 5),
        ("certificate", "certificate", 5),
    ]
    assert told(holder(certificate(360, 5), certificate(350, 15))) == [("certificate", "certificate", 15)]


def test_without_a_limit_nothing_ends_by_age():
    free = AgeLimits({}, lambda _roles: {})
    assert endings(holder(password(9_999)), free, at=AT) == []
    assert free.end(password(9_999), ["plain"]) is None
