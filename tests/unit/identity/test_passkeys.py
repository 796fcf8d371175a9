"""Passkeys against an authenticator in software: registered, used, copied, pointed elsewhere."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.operators import new_operator, with_recovery_codes
from bartizan.identity.passkeys import (
    ENDS_AFTER,
    PASSKEYS_MAX,
    RelyingParty,
    after_login,
    begin_login,
    begin_proof,
    begin_registration,
    claimed_operator,
    end_registration,
    without_passkey,
)
from bartizan.model.operator import Operator, Totp
from tests.authenticator import Authenticator, b64, unb64

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORIGIN = "https://broker.example:8080"
PARTY = RelyingParty("broker.example", "Bartizan", (ORIGIN,))


def alice() -> Operator:
    return new_operator("alice", at=AT)


def registered(key: Authenticator, operator: Operator | None = None) -> Operator:
    operator = operator or alice()
    ceremony = begin_registration(operator, PARTY, at=AT)
    return end_registration(operator, key.create(ceremony.options), ceremony, PARTY, at=AT, label="laptop")


def key(**more: bool) -> Authenticator:
    return Authenticator(PARTY.id, ORIGIN, **more)


@pytest.mark.parametrize("counts", [True, False])
def test_a_key_is_registered_and_proves_again_and_again(counts):
    mine = key(counts=counts)
    operator = registered(mine)
    assert [(item.label, item.id) for item in operator.passkeys] == [("laptop", mine.id)]
    for _ in range(3):
        ceremony = begin_login(PARTY, at=AT)
        answer = mine.get(ceremony.options)
        assert claimed_operator(answer) == "alice"
        after = after_login(operator, answer, ceremony, PARTY, at=AT)
        assert after is not None
        operator, used = after
        assert used in operator.passkeys
    assert operator.passkeys[0].sign_count == (3 if counts else 0)
    assert operator.passkeys[0].last_used_at == AT


def test_the_browser_is_asked_for_a_verified_user_and_a_key_of_its_own():
    asked = json.loads(begin_registration(registered(key()), PARTY, at=AT).options)
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert len(asked["excludeCredentials"]) == 1
    login = json.loads(begin_login(PARTY, at=AT).options)
    assert login["userVerification"] == "required"
    assert not login.get("allowCredentials"), "who is here is told to nobody"


def test_a_copy_of_a_key_is_noticed_by_its_count():
    mine = key()
    operator = registered(mine)
    mine.count = 7
    first = begin_login(PARTY, at=AT)
    after = after_login(operator, mine.get(first.options), first, PARTY, at=AT)
    assert after is not None
    mine.count = 5
    second = begin_login(PARTY, at=AT)
    assert after_login(after[0], mine.get(second.options), second, PARTY, at=AT) is None


def test_an_answer_to_another_question_proves_nothing():
    mine = key()
    operator = registered(mine)
    one, two = begin_login(PARTY, at=AT), begin_login(PARTY, at=AT)
    assert after_login(operator, mine.get(one.options), two, PARTY, at=AT) is None
    assert after_login(operator, mine.get(two.options), two, PARTY, at=AT + ENDS_AFTER) is None
    registration = begin_registration(operator, PARTY, at=AT)
    assert after_login(operator, mine.get(registration.options), registration, PARTY, at=AT) is None


def test_a_question_to_one_who_is_logged_in_is_answered_by_nobody_else_and_by_its_own_keys():
    mine, other = key(), key()
    operator = registered(mine)
    bob = registered(other, new_operator("bob", at=AT))
    asked = begin_proof(operator, PARTY, at=AT)
    assert len(json.loads(asked.options)["allowCredentials"]) == 1
    assert after_login(bob, other.get(asked.options), asked, PARTY, at=AT) is None
    assert after_login(operator, other.get(asked.options), asked, PARTY, at=AT) is None
    assert after_login(operator, mine.get(asked.options), asked, PARTY, at=AT) is not None
    with pytest.raises(InvalidValue, match="no passkey"):
        begin_proof(alice(), PARTY, at=AT)


def test_recovery_codes_go_with_the_last_factor_that_could_be_lost():
    mine = key()
    operator, _ = with_recovery_codes(registered(mine))
    assert without_passkey(operator, mine.id).recovery_codes == ()
    kept = replace(operator, totp=Totp("A" * 32, AT, AT))
    assert without_passkey(kept, mine.id).recovery_codes == operator.recovery_codes
    with pytest.raises(NotFound):
        without_passkey(operator, b"another")


def test_a_key_of_another_place_or_another_origin_proves_nothing():
    mine = key()
    operator = registered(mine)
    for rp_id, origin in [
        ("evil.example", ORIGIN),
        (PARTY.id, "https://evil.example"),
        (PARTY.id, "http://broker.example:8080"),
    ]:
        mine.rp_id, mine.origin = rp_id, origin
        ceremony = begin_login(PARTY, at=AT)
        assert after_login(operator, mine.get(ceremony.options), ceremony, PARTY, at=AT) is None
        with pytest.raises(InvalidValue):
            registered(mine)


def test_a_key_whose_user_was_not_verified_is_no_two_factors():
    with pytest.raises(InvalidValue):
        registered(key(verifies=False))
    mine = key()
    operator = registered(mine)
    mine._flags = 0x01
    ceremony = begin_login(PARTY, at=AT)
    assert after_login(operator, mine.get(ceremony.options), ceremony, PARTY, at=AT) is None


def test_another_key_and_a_changed_answer_prove_nothing():
    mine, other = key(), key()
    operator = registered(mine)
    ceremony = begin_login(PARTY, at=AT)
    assert after_login(operator, other.get(ceremony.options), ceremony, PARTY, at=AT) is None
    other.id = mine.id
    assert after_login(operator, other.get(ceremony.options), ceremony, PARTY, at=AT) is None
    answer = json.loads(mine.get(ceremony.options))
    for name in ("signature", "authenticatorData", "clientDataJSON"):
        changed = answer | {"response": answer["response"] | {name: "AAAA"}}
        assert after_login(operator, json.dumps(changed), ceremony, PARTY, at=AT) is None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"id": 1}',
        '{"response": {"userHandle": 1}}',
        "x" * 70_000,
        "[" * 60_000,
        '{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}',
    ],
)
def test_what_is_no_answer_proves_nothing(answer):
    operator = registered(key())
    ceremony = begin_login(PARTY, at=AT)
    assert after_login(operator, answer, ceremony, PARTY, at=AT) is None
    assert claimed_operator(answer) == ""
    registration = begin_registration(operator, PARTY, at=AT)
    with pytest.raises(InvalidValue):
        end_registration(operator, answer, registration, PARTY, at=AT)


def test_a_public_key_that_lacks_a_part_is_refused():
    mine = key()
    ceremony = begin_registration(alice(), PARTY, at=AT)
    answer = json.loads(mine.create(ceremony.options))
    statement = unb64(answer["response"]["attestationObject"])
    # Curve, x and y are -1, -2 and -3 in COSE: 0x20, 0x21 and 0x22.
    broken = statement.replace(bytes([0x20, 0x01, 0x21]), bytes([0x2A, 0x01, 0x21]))
    assert broken != statement
    answer["response"]["attestationObject"] = b64(broken)
    with pytest.raises(InvalidValue, match="cannot be registered"):
        end_registration(alice(), json.dumps(answer), ceremony, PARTY, at=AT)


def test_a_registration_is_for_whom_it_was_begun_and_in_time():
    mine = key()
    ceremony = begin_registration(alice(), PARTY, at=AT)
    answer = mine.create(ceremony.options)
    bob = new_operator("bob", at=AT)
    with pytest.raises(InvalidValue, match="somebody else"):
        end_registration(bob, answer, ceremony, PARTY, at=AT)
    with pytest.raises(InvalidValue, match="over"):
        end_registration(alice(), answer, ceremony, PARTY, at=AT + ENDS_AFTER)
    operator = end_registration(alice(), answer, ceremony, PARTY, at=AT + ENDS_AFTER - timedelta(seconds=1))
    with pytest.raises(InvalidValue, match="already"):
        end_registration(operator, answer, ceremony, PARTY, at=AT)


def test_keys_are_bounded():
    operator = registered(key())
    many = replace(operator, passkeys=operator.passkeys * PASSKEYS_MAX)
    with pytest.raises(InvalidValue, match=str(PASSKEYS_MAX)):
        begin_registration(many, PARTY, at=AT)


def test_no_challenge_is_in_a_repr():
    ceremony = begin_login(PARTY, at=AT)
    assert repr(ceremony.challenge)[2:-1] not in repr(ceremony)
    assert json.loads(ceremony.options)["challenge"] not in repr(ceremony)
