"""Operators: names and roles, one-time codes that count once, recovery codes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from bartizan.errors import InvalidValue
from bartizan.identity.operators import (
    RECOVERY_CODES,
    after_code,
    after_recovery,
    new_operator,
    totp_uri,
    with_confirmed_totp,
    with_new_totp,
    with_password,
    with_recovery_codes,
    without_totp,
)
from bartizan.identity.passwords import verify_password
from bartizan.model.operator import Operator, OperatorRole

AT = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)


def code_of(operator: Operator, at: datetime) -> str:
    assert operator.totp is not None
    return pyotp.TOTP(operator.totp.secret).at(at)


def enrolled(at: datetime = AT - timedelta(days=1)) -> Operator:
    pending = with_new_totp(new_operator("alice", at=at), at=at)
    confirmed = with_confirmed_totp(pending, code_of(pending, at), at=at)
    assert confirmed is not None
    return confirmed


@pytest.mark.parametrize("name", ["", "Alice", "1st", "a b", "a/b", "x" * 65, "a\u0430", "alice\n"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(InvalidValue):
        new_operator(name, at=AT)


def test_without_a_role_it_looks_only_and_roles_come_in_one_order():
    assert new_operator("alice@plant.example", at=AT).roles == (OperatorRole.VIEWER,)
    both = new_operator("alice", at=AT, roles=["admin", "operator", "admin"])
    assert both.roles == (OperatorRole.OPERATOR, OperatorRole.ADMIN)
    with pytest.raises(InvalidValue, match="viewer, operator, security, admin"):
        new_operator("alice", at=AT, roles=["root"])


def test_a_password_is_kept_as_argon2id_and_has_a_least_length():
    alice = with_password(new_operator("alice", at=AT), "correct horse battery")
    assert alice.password_hash.startswith("$argon2id$")
    assert verify_password(alice.password_hash, b"correct horse battery")
    for bad in ("short", "x" * 1025):
        with pytest.raises(InvalidValue):
            with_password(alice, bad)


def test_a_code_counts_once_and_then_neither_it_nor_an_older_one():
    alice = enrolled()
    now, earlier = code_of(alice, AT), code_of(alice, AT - STEP)
    used = after_code(alice, now, at=AT)
    assert used is not None
    assert after_code(used, now, at=AT) is None
    assert after_code(used, earlier, at=AT) is None
    following = after_code(used, code_of(alice, AT + STEP), at=AT + STEP)
    assert following is not None


def test_the_code_that_confirmed_is_used_up():
    alice = enrolled(AT)
    assert after_code(alice, code_of(alice, AT), at=AT) is None


@pytest.mark.parametrize(("steps", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(steps, counts):
    alice = enrolled()
    assert (after_code(alice, code_of(alice, AT + steps * STEP), at=AT) is not None) == counts


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "12 456", "\u0661\u0662\u0663\u0664\u0665\u0666", "-12345"]
)
def test_what_is_no_code_is_none(code):
    assert after_code(enrolled(), code, at=AT) is None


def test_a_secret_counts_for_nothing_until_a_code_of_it_was_shown():
    pending = with_new_totp(new_operator("alice", at=AT), at=AT)
    assert not pending.has_second_factor
    assert after_code(pending, code_of(pending, AT), at=AT) is None
    assert with_confirmed_totp(pending, "000000" if code_of(pending, AT) != "000000" else "000001", at=AT) is None
    again = with_new_totp(pending, at=AT)
    assert again.totp != pending.totp
    with pytest.raises(InvalidValue, match="reset"):
        with_new_totp(enrolled(), at=AT)
    with pytest.raises(InvalidValue):
        with_confirmed_totp(enrolled(), "123456", at=AT)
    with pytest.raises(InvalidValue):
        with_confirmed_totp(new_operator("bob", at=AT), "123456", at=AT)


def test_an_authenticator_app_understands_the_uri():
    alice = enrolled()
    uri = totp_uri(alice, "Bartizan")
    parsed = pyotp.parse_uri(uri)
    assert isinstance(parsed, pyotp.TOTP)
    assert (parsed.name, parsed.issuer, parsed.at(AT)) == ("alice", "Bartizan", code_of(alice, AT))


def test_a_recovery_code_counts_once_however_it_is_typed():
    alice, codes = with_recovery_codes(enrolled())
    assert len(set(codes)) == RECOVERY_CODES
    used = after_recovery(alice, codes[3].upper().replace("-", " "), at=AT)
    assert used is not None
    assert after_recovery(used, codes[3], at=AT) is None
    assert after_recovery(used, codes[4], at=AT) is not None
    for wrong in ("", codes[0][:-1], "x" * 5_000, "\udcff"):
        assert after_recovery(alice, wrong, at=AT) is None


def test_new_recovery_codes_end_the_old_ones():
    alice, old = with_recovery_codes(enrolled())
    again, _ = with_recovery_codes(alice)
    assert after_recovery(again, old[0], at=AT) is None


def test_a_reset_takes_codes_away_with_what_would_recover_them():
    alice, _ = with_recovery_codes(enrolled())
    bare = without_totp(alice)
    assert (bare.totp, bare.recovery_codes, bare.has_second_factor) == (None, (), False)


def test_no_secret_is_in_a_repr():
    alice, codes = with_recovery_codes(with_password(enrolled(), "correct horse battery"))
    assert alice.totp is not None
    told = repr(alice) + repr(replace(alice, note="x").totp)
    for secret in (alice.totp.secret, alice.password_hash, alice.recovery_codes[0].hash, codes[0]):
        assert secret not in told
