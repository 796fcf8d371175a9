"""Tokens of operators: made, and known again by the hash of their secret. Pure: time comes in."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.ids import parse_remark
from bartizan.model.operator import ApiToken, Operator

PREFIX: Final = "bzt_"
"""What a secret begins with, so that scanners of sources and logs know one."""

LIFETIME_MAX: Final = timedelta(days=365)


def new_token(
    operator: Operator, scopes: Sequence[str], *, at: datetime, lifetime: timedelta, label: str = ""
) -> tuple[ApiToken, str]:
    """A token not yet stored, and its secret, shown this once."""
    if not timedelta(0) < lifetime <= LIFETIME_MAX:
        raise InvalidValue(f"a token is good for {LIFETIME_MAX.days} days at most, and for more than nothing")
    if not scopes:
        raise InvalidValue("a token is held to permissions: name at least one")
    secret = PREFIX + secrets.token_urlsafe(32)
    made = ApiToken(
        id=secrets.token_hex(8),
        operator=operator.name,
        hash=hash_of(secret),
        created_at=at,
        expires_at=at + lifetime,
        scopes=tuple(dict.fromkeys(scopes)),
        label=parse_remark(label),
    )
    return made, secret


def hash_of(secret: str) -> str:
    """By what a secret is looked up: how long that takes says nothing about it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
