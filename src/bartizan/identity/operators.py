"""Operators: made, changed, and proved by password, one-time code and recovery code. Pure: time comes in.

Each function that takes a proof gives back the operator as it is to be stored afterwards: a code counts once, so
whoever lets somebody in has to have written it first.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import pyotp

from bartizan.errors import InvalidValue
from bartizan.identity.passwords import PASSWORD_BYTES_MAX, generate_secret, hash_password
from bartizan.model.ids import parse_remark
from bartizan.model.operator import Operator, OperatorName, OperatorRole, RecoveryCode, Totp

PASSWORD_CHARS_MIN: Final = 12

TOTP_STEP_S: Final = 30
TOTP_DRIFT_STEPS: Final = 1
"""A clock may be one step early or late."""

TOTP_DIGITS: Final = 6

RECOVERY_CODES: Final = 10
RECOVERY_GROUPS: Final = 4
"""Of five characters each: 100 bits."""


def new_operator(name: str, *, at: datetime, roles: Sequence[str] = (), tenant: str = "", note: str = "") -> Operator:
    """An operator not yet stored, from plain text, that nothing proves yet."""
    return Operator(
        name=OperatorName.parse(name),
        created_at=at,
        roles=parse_roles(roles) or (OperatorRole.VIEWER,),
        tenant=parse_remark(tenant),
        note=parse_remark(note),
    )


def parse_roles(words: Sequence[str]) -> tuple[OperatorRole, ...]:
    """Roles from plain text, each once, in their own order."""
    known = {role.value: role for role in OperatorRole}
    for word in words:
        if word not in known:
            raise InvalidValue(f"{word!r} is no role of an operator: {', '.join(known)}")
    return tuple(role for role in OperatorRole if role.value in words)


def with_password(operator: Operator, password: str, *, must_change: bool = False) -> Operator:
    """The operator with this password in place of any other."""
    if len(password) < PASSWORD_CHARS_MIN or len(password.encode()) > PASSWORD_BYTES_MAX:
        raise InvalidValue(
            f"a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        )
    return replace(operator, password_hash=hash_password(password), must_change=must_change)


def by_provider(
    operator: Operator | None, name: OperatorName, subject: str, roles: tuple[OperatorRole, ...] | None, *, at: datetime
) -> Operator | None:
    """The operator after an OpenID Provider has vouched for this subject under this name; None: it is not let in.

    `roles` None: it has to be there, with roles of its own. Else it has these, is made where it is not there, and
    one that was added by hand is not taken over. Whoever came first under a name keeps it.
    """
    if operator is None:
        return None if roles is None else Operator(name, at, roles, subject=subject)
    if operator.subject not in ({"", subject} if roles is None else {subject}):
        return None
    return replace(operator, subject=subject, roles=operator.roles if roles is None else roles)


# ---- one-time codes -------------------------------------------------------------------------------


def with_new_totp(operator: Operator, *, at: datetime) -> Operator:
    """The operator with a new secret, which counts once a first code of it was shown."""
    if operator.has_totp:
        raise InvalidValue(f"{operator.name} has one-time codes already: reset them first")
    return replace(operator, totp=Totp(secret=pyotp.random_base32(), created_at=at))


def totp_uri(operator: Operator, issuer: str) -> str:
    """What an authenticator app reads: it holds the secret."""
    if operator.totp is None:
        raise InvalidValue(f"{operator.name} has no one-time codes")
    return pyotp.TOTP(operator.totp.secret).provisioning_uri(name=operator.name, issuer_name=issuer)


def with_confirmed_totp(operator: Operator, code: str, *, at: datetime) -> Operator | None:
    """The operator whose codes count from now on; None if this is none of them."""
    if operator.totp is None:
        raise InvalidValue(f"{operator.name} has no one-time codes to confirm: enrol them first")
    if operator.totp.confirmed_at is not None:
        raise InvalidValue(f"the one-time codes of {operator.name} are confirmed already")
    step = _step_of(operator.totp, code, at)
    return None if step is None else replace(operator, totp=replace(operator.totp, confirmed_at=at, last_step=step))


def without_totp(operator: Operator) -> Operator:
    """The operator without one-time codes, and without recovery codes where nothing is left to recover."""
    kept = operator.recovery_codes if operator.passkeys else ()
    return replace(operator, totp=None, recovery_codes=kept)


def after_code(operator: Operator, code: str, *, at: datetime) -> Operator | None:
    """The operator that has used this code up; None if it is wrong, or was used before, or an older one."""
    if operator.totp is None or operator.totp.confirmed_at is None:
        return None
    step = _step_of(operator.totp, code, at)
    return None if step is None else replace(operator, totp=replace(operator.totp, last_step=step))


def _step_of(totp: Totp, code: str, at: datetime) -> int | None:
    """The step that a code is of, later than any that was taken before."""
    if len(code) != TOTP_DIGITS or not (code.isascii() and code.isdecimal()):
        return None
    now = int(at.timestamp()) // TOTP_STEP_S
    maker = pyotp.TOTP(totp.secret)
    found = None
    for step in range(now - TOTP_DRIFT_STEPS, now + TOTP_DRIFT_STEPS + 1):
        # All are compared: when it stops tells nothing.
        if hmac.compare_digest(maker.generate_otp(step), code) and step > totp.last_step:
            found = step
    return found


# ---- recovery codes -------------------------------------------------------------------------------


def with_recovery_codes(operator: Operator) -> tuple[Operator, list[str]]:
    """The operator with new recovery codes in place of all earlier ones, and the codes, shown this once."""
    codes = [generate_secret(RECOVERY_GROUPS) for _ in range(RECOVERY_CODES)]
    return replace(operator, recovery_codes=tuple(RecoveryCode(_digest(code)) for code in codes)), codes


def after_recovery(operator: Operator, code: str, *, at: datetime) -> Operator | None:
    """The operator that has used this recovery code up; None if it is none, or was used before."""
    if len(code) > PASSWORD_BYTES_MAX:
        return None
    digest = _digest(code)
    found = [item for item in operator.recovery_codes if hmac.compare_digest(item.hash, digest)]
    if not found or found[0].used_at is not None:
        return None
    codes = (replace(item, used_at=at) if item is found[0] else item for item in operator.recovery_codes)
    return replace(operator, recovery_codes=tuple(codes))


def _digest(code: str) -> str:
    # 100 random bits: nobody tries them one by one, so a quick hash does.
    plain = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()
