"""Operators log in: what is asked for, what counts once, who waits, and what a refusal tells."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from bartizan.authn.operators import CODES, LoginRefused, OperatorLogin
from bartizan.config.authenticators import PasswordSettings
from bartizan.errors import StoreUnavailable
from bartizan.identity import hashes
from bartizan.identity.operators import (
    new_operator,
    with_confirmed_totp,
    with_new_totp,
    with_password,
    with_recovery_codes,
)
from bartizan.identity.passkeys import RelyingParty, begin_registration, end_registration
from bartizan.model.operator import Operator, OperatorFactor, OperatorProof, OperatorRole
from bartizan.store.memory import MemoryIdentityStore
from tests.authenticator import Authenticator

pytestmark = pytest.mark.anyio
BEGUN = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.{}"
ORIGIN = "https://broker.example"
PARTY = RelyingParty("broker.example", "Bartizan", (ORIGIN,))
ALICE = with_password(new_operator("alice", at=BEGUN, roles=["security"]), PASSWORD)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Door:
    """A login, its store and its clock."""

    store: MemoryIdentityStore = field(default_factory=MemoryIdentityStore)
    at: datetime = BEGUN

    def __post_init__(self) -> None:
        self.login = OperatorLogin(self.store, PasswordSettings(), now=lambda: self.at, clock=self.seconds)

    def seconds(self) -> float:
        return (self.at - BEGUN).total_seconds()

    async def has(self, operator: Operator) -> None:
        await self.store.add_operator(operator)

    async def stored(self) -> Operator:
        found = await self.store.operator("alice")
        assert found is not None
        return found

    async def opens(self, code: str | None = None, address: str = HERE, password: str = PASSWORD) -> OperatorProof:
        return await self.login.by_password("alice", password, code, address=address)

    async def refuses(self, code: str | None = None, address: str = HERE, password: str = PASSWORD) -> LoginRefused:
        with pytest.raises(LoginRefused) as told:
            await self.opens(code, address, password)
        assert str(told.value) == "the login was refused", "outside, every refusal is the same"
        return told.value

    async def code(self) -> str:
        totp = (await self.stored()).totp
        assert totp is not None
        return pyotp.TOTP(totp.secret).at(self.at)

    async def wrong_code(self) -> str:
        return f"{(int(await self.code()) + 500_000) % 1_000_000:06}"


def with_codes(operator: Operator = ALICE) -> Operator:
    pending = with_new_totp(operator, at=BEGUN)
    assert pending.totp is not None
    early = BEGUN - timedelta(days=1)
    confirmed = with_confirmed_totp(pending, pyotp.TOTP(pending.totp.secret).at(early), at=early)
    assert confirmed is not None
    return confirmed


async def test_a_password_alone_is_one_factor_and_enough_where_there_is_no_second():
    door = Door()
    await door.has(ALICE)
    proof = await door.opens()
    assert proof == OperatorProof(ALICE.name, (OperatorRole.SECURITY,), "", frozenset({OperatorFactor.PASSWORD}), BEGUN)
    assert not proof.is_mfa


async def test_with_codes_the_password_alone_opens_nothing():
    door = Door()
    await door.has(with_codes())
    assert "second factor" in (await door.refuses()).why
    proof = await door.opens(await door.code())
    assert proof.factors == {OperatorFactor.PASSWORD, OperatorFactor.TOTP}
    assert proof.is_mfa


async def test_a_code_opens_once_and_a_wrong_password_does_not_use_it_up():
    door = Door()
    await door.has(with_codes())
    code = await door.code()
    assert (await door.refuses(code, password="wrong horse battery")).why == "wrong password"
    await door.opens(code)
    assert "used" in (await door.refuses(code)).why
    assert "used" in (await door.refuses(code, ELSEWHERE.format(1))).why


async def test_of_two_at_once_with_one_code_one_gets_in():
    door = Door()
    await door.has(with_codes())
    code = await door.code()
    answers = await asyncio.gather(door.opens(code), door.opens(code), return_exceptions=True)
    assert {type(answer) for answer in answers} == {LoginRefused, OperatorProof}


async def test_a_recovery_code_opens_once():
    door = Door()
    operator, codes = with_recovery_codes(with_codes())
    await door.has(operator)
    proof = await door.opens(codes[0])
    assert proof.factors == {OperatorFactor.PASSWORD, OperatorFactor.RECOVERY}
    await door.refuses(codes[0])
    await door.opens(codes[1])


async def test_who_is_disabled_or_gone_is_told_what_a_wrong_password_is_told():
    door = Door()
    await door.has(replace(ALICE, is_enabled=False))
    assert (await door.refuses()).why == "the operator is disabled"
    await door.store.remove_operator("alice")
    assert (await door.refuses()).why == "no such operator"


@pytest.mark.parametrize("operator", [None, ALICE, replace(ALICE, password_hash="")])
async def test_a_refusal_costs_one_hash_whoever_was_named(operator, monkeypatch):
    door = Door()
    if operator is not None:
        await door.has(operator)
    spent: list[str | None] = []
    real = hashes.verify

    def counted(stored: str, password: bytes) -> bool:
        spent.append(hashes.shape(stored))
        return real(stored, password)

    monkeypatch.setattr("bartizan.identity.hashes.verify", counted)
    await door.refuses(password="wrong horse battery")
    assert spent == [hashes.our_shape()]


async def test_who_guesses_waits_and_the_wait_has_an_end():
    door = Door()
    await door.has(ALICE)
    refusals = [await door.refuses(password="wrong horse battery") for _ in range(4)]
    assert [one.wait_s is None for one in refusals] == [True, True, True, False]
    assert (await door.refuses()).wait_s is not None, "the right password has to wait as well"
    await door.opens(address=ELSEWHERE.format(1))
    door.at += timedelta(seconds=5)
    await door.opens()


async def test_codes_behind_a_stolen_password_are_not_guessed_from_many_places():
    door = Door()
    await door.has(with_codes())
    for place in range(CODES.free_failures):
        assert (await door.refuses(await door.wrong_code(), ELSEWHERE.format(place))).wait_s is None
    early = await door.refuses(await door.wrong_code(), "203.0.113.1")
    assert early.wait_s is not None
    # Wrong passwords count nothing there: no stranger can have the owner wait.
    door = Door()
    await door.has(with_codes())
    for place in range(40):
        await door.refuses("000000", f"10.{place}.0.1", password="wrong horse battery")
    await door.opens(await door.code())


async def test_a_passkey_opens_by_itself_and_does_not_wait_for_wrong_codes():
    door = Door()
    key = Authenticator(PARTY.id, ORIGIN)
    ceremony = begin_registration(ALICE, PARTY, at=BEGUN)
    await door.has(with_codes(end_registration(ALICE, key.create(ceremony.options), ceremony, PARTY, at=BEGUN)))
    for place in range(CODES.free_failures + 1):
        await door.refuses(await door.wrong_code(), ELSEWHERE.format(place))
    asked = door.login.ask_passkey(PARTY)
    answer = key.get(asked.options)
    proof = await door.login.by_passkey(asked, answer, PARTY, address=HERE)
    assert proof.factors == {OperatorFactor.PASSKEY}
    assert proof.is_mfa
    assert (await door.stored()).passkeys[0].sign_count == 1
    with pytest.raises(LoginRefused):
        await door.login.by_passkey(asked, answer, PARTY, address=HERE)


async def test_a_passkey_of_one_is_none_of_another():
    door = Door()
    key = Authenticator(PARTY.id, ORIGIN)
    ceremony = begin_registration(ALICE, PARTY, at=BEGUN)
    await door.has(end_registration(ALICE, key.create(ceremony.options), ceremony, PARTY, at=BEGUN))
    await door.has(with_password(new_operator("bob", at=BEGUN, roles=["admin"]), PASSWORD))
    for user in (b"bob", b"nobody", b"", b"\xff", b"x" * 5_000):
        asked = door.login.ask_passkey(PARTY)
        with pytest.raises(LoginRefused):
            await door.login.by_passkey(asked, key.get(asked.options, user=user), PARTY, address=ELSEWHERE.format(7))


async def test_a_store_that_fails_lets_nobody_in_and_leaves_no_guess_under_way():
    class Broken(MemoryIdentityStore):
        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        async def replace_operator(self, operator: Operator) -> Operator:
            raise StoreUnavailable("the disk is full")

    door = Door(Broken())
    await door.has(with_codes())
    with pytest.raises(StoreUnavailable):
        await door.opens(await door.code())
    assert door.login._places._pending == {}
    assert door.login._codes._pending == {}
