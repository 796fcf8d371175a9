"""Logins end: unused, after a time, when there are too many; and nothing but the hash of a secret is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.api.sessions import PER_OPERATOR_MAX, PREFIX, Sessions
from bartizan.config.api import ApiSettings
from bartizan.errors import NotFound
from bartizan.identity.operators import new_operator
from bartizan.model.operator import OperatorFactor, OperatorProof, Passkey

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = ApiSettings(idle_s=600, session_s=3_600)


class Clock:
    """The time, as a test sets it."""

    def __init__(self) -> None:
        self.at = BEGUN

    def __call__(self) -> datetime:
        return self.at

    def on(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(SETTINGS, clock)


def opened(sessions: Sessions, name: str = "alice"):
    operator = new_operator(name, at=BEGUN)
    proof = OperatorProof(operator.name, operator.roles, "", frozenset({OperatorFactor.PASSWORD}), sessions._now())
    return sessions.open(proof, operator, "192.0.2.1")


def test_a_secret_opens_and_is_kept_nowhere(sessions: Sessions):
    secret, session = opened(sessions)
    assert secret.startswith(PREFIX)
    assert sessions.find(secret) == session
    assert sessions.find(secret + "x") is None
    assert sessions.find("") is None
    assert secret not in repr(vars(sessions))


def test_unused_it_ends_and_used_it_goes_on(sessions: Sessions, clock: Clock):
    secret, _ = opened(sessions)
    for _ in range(3):
        clock.on(599)
        assert sessions.find(secret)
    clock.on(600)
    assert sessions.find(secret) is None


def test_it_ends_after_a_time_however_much_it_is_used(sessions: Sessions, clock: Clock):
    secret, _ = opened(sessions)
    for _ in range(7):
        clock.on(500)
        assert sessions.find(secret)
    clock.on(100)
    assert sessions.find(secret) is None


def test_of_too_many_the_longest_unused_ends(sessions: Sessions, clock: Clock):
    secrets: list[str] = []
    for _ in range(PER_OPERATOR_MAX):
        secrets.append(opened(sessions)[0])
        clock.on(1)
    sessions.find(secrets[0])
    clock.on(1)
    other = opened(sessions, "bob")[0]
    opened(sessions)
    assert sessions.find(secrets[0])
    assert sessions.find(secrets[1]) is None
    assert sessions.find(other)


def test_all_of_an_operator_end_at_once_but_the_one_that_is_named(sessions: Sessions):
    first, second, other = opened(sessions), opened(sessions), opened(sessions, "bob")
    assert sessions.close_all("alice", but=first[1].id) == 1
    assert sessions.find(first[0])
    assert sessions.find(second[0]) is None
    assert sessions.find(other[0])


def test_a_new_proof_is_the_operators_own(sessions: Sessions, clock: Clock):
    _, session = opened(sessions)
    clock.on(100)
    proof = OperatorProof(session.operator, (), "", frozenset({OperatorFactor.PASSKEY}), clock())
    renewed = sessions.proved(session, proof)
    assert renewed.is_mfa
    assert renewed.proved_at == clock()
    with pytest.raises(NotFound):
        sessions.proved(session, replace(proof, operator=new_operator("mallory", at=BEGUN).name))


def test_it_rests_on_the_passkey_that_was_shown_and_not_on_another(sessions: Sessions):
    mine, other = (Passkey(id_, b"", 0, BEGUN) for id_ in (b"mine", b"other"))
    operator = replace(new_operator("alice", at=BEGUN), passkeys=(mine, other))
    shown = frozenset({OperatorFactor.PASSKEY})
    proof = OperatorProof(operator.name, operator.roles, "", shown, BEGUN, passkey=mine.id)
    _, session = sessions.open(proof, operator, "192.0.2.1")
    assert session.holds_for(operator)
    assert session.holds_for(replace(operator, passkeys=(mine,)))
    assert not session.holds_for(replace(operator, passkeys=(other,)))
    assert not session.holds_for(replace(operator, is_enabled=False))
    assert not session.holds_for(replace(operator, password_hash="another"))
    again = OperatorProof(operator.name, operator.roles, "", frozenset({OperatorFactor.PASSWORD}), BEGUN)
    assert sessions.proved(session, again).holds_for(replace(operator, passkeys=()))
