"""The pump: every question gets its answer, every event is written, and neither flood nor bug lets anyone in."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bartizan.authn import Challenge, ConnectRequest, Proof, Verdict
from bartizan.broker import pump as pumping
from bartizan.broker.authenticate import Desk
from bartizan.broker.ports import Allow, ControlRequest, Deny, Proceed, Question
from bartizan.broker.pump import QUESTIONS_MAX, QUESTIONS_PER_TURN, Pump
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode
from tests.unit.broker.fake import FakeEngine

PRESS = Principal(identity="press-01", method="certificate")


def question(token: int) -> Question:
    return Question(token, ConnectRequest(client_id=f"press-{token}", listener="mqtts", address="192.0.2.1"))


class Chain:
    """A chain that does what a test says."""

    def __init__(self, decide: Callable[[ConnectRequest], Awaitable[Verdict]]) -> None:
        self._decide = decide

    async def decide(self, request: ConnectRequest) -> Verdict:
        return await self._decide(request)


async def allow(request: ConnectRequest) -> Verdict:
    return Verdict.allow(Proof(PRESS))


async def settled() -> None:
    return


def desk(decide=allow, *, deadline_s: float = 5.0) -> Desk:
    return Desk(Chain(decide), settled, deadline_s)


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    fake = FakeEngine()
    yield fake
    fake.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110  what it waits for has no event
            await asyncio.sleep(0.001)


def unwritten(events: object) -> None:
    pass


def pumped(engine: FakeEngine, asked: Desk, work: Callable[[], Awaitable[None]], write=unwritten) -> None:
    async def main() -> None:
        pump = Pump(engine, asked, write)
        pump.start()
        await work()
        await pump.stop()

    asyncio.run(main())


def test_what_waited_before_the_pump_began_is_answered(engine):
    engine.ask(question(1))
    pumped(engine, desk(), lambda: until(lambda: len(engine.answers) == 1))
    assert engine.answers == [Allow(1, PRESS, managed=True)]


@pytest.mark.parametrize("reason", [ReasonCode.SUCCESS, ReasonCode.CONTINUE_AUTHENTICATION, 0xEE])
def test_a_refusal_that_names_no_refusal_is_one_all_the_same(engine, reason):
    async def refuse(request: ConnectRequest) -> Verdict:
        return Verdict.deny(reason, "why")

    engine.ask(question(1))
    pumped(engine, desk(refuse), lambda: until(lambda: len(engine.answers) == 1))
    assert engine.answers == [Deny(1, ReasonCode.SERVER_UNAVAILABLE, "why")]


def test_a_challenge_goes_out_and_says_nothing_in_its_repr(engine):
    async def challenge(request: ConnectRequest) -> Verdict:
        return Verdict.proceed(Challenge(b"nonce", b"remember"))

    engine.ask(question(1))
    pumped(engine, desk(challenge), lambda: until(lambda: len(engine.answers) == 1))
    assert engine.answers == [Proceed(1, b"nonce", b"remember")]
    assert "nonce" not in repr(engine.answers)
    assert "remember" not in repr(engine.answers)


def test_more_questions_than_may_be_in_work_are_all_answered(engine):
    async def work() -> None:
        engine.ask(*(question(token) for token in range(3 * QUESTIONS_MAX)))
        await until(lambda: len(engine.answers) == 3 * QUESTIONS_MAX)

    pumped(engine, desk(), work)
    assert {answer.token for answer in engine.answers} == set(range(3 * QUESTIONS_MAX))


def test_behind_a_full_turn_nothing_is_taken_before_the_loop_has_rested(engine, monkeypatch):
    monkeypatch.setattr(pumping, "REST_S", 3_600)

    async def work() -> None:
        engine.ask(*(question(token) for token in range(2 * QUESTIONS_PER_TURN)))
        await until(lambda: len(engine.answers) == QUESTIONS_PER_TURN)
        # More of them end no rest.
        engine.ask(question(1_000))
        for _ in range(100):
            await asyncio.sleep(0)

    pumped(engine, desk(), work)
    assert [answer.token for answer in engine.answers] == list(range(QUESTIONS_PER_TURN))


def test_no_more_than_the_bound_is_ever_in_work(engine):
    in_work, most = 0, 0
    go = asyncio.Event()

    async def slow(request: ConnectRequest) -> Verdict:
        nonlocal in_work, most
        in_work += 1
        most = max(most, in_work)
        await go.wait()
        in_work -= 1
        return Verdict.allow(Proof(PRESS))

    async def work() -> None:
        engine.ask(*(question(token) for token in range(2 * QUESTIONS_MAX)))
        await until(lambda: in_work == QUESTIONS_MAX)
        await asyncio.sleep(0.02)
        go.set()
        await until(lambda: len(engine.answers) == 2 * QUESTIONS_MAX)

    pumped(engine, desk(slow), work)
    assert most == QUESTIONS_MAX


def test_an_authenticator_that_fails_refuses_with_0x88(engine):
    async def fail(request: ConnectRequest) -> Verdict:
        raise ZeroDivisionError

    engine.ask(question(1))
    pumped(engine, desk(fail), lambda: until(lambda: bool(engine.answers)))
    assert engine.answers == [Deny(1, ReasonCode.SERVER_UNAVAILABLE, "authentication failed: ZeroDivisionError")]


def test_an_authenticator_that_is_too_slow_refuses_with_0x88(engine):
    async def never(request: ConnectRequest) -> Verdict:
        await asyncio.sleep(60)
        return Verdict.allow(Proof(PRESS))

    engine.ask(question(1))
    pumped(engine, desk(never, deadline_s=0.02), lambda: until(lambda: bool(engine.answers)))
    assert engine.answers == [Deny(1, ReasonCode.SERVER_UNAVAILABLE, "authentication took too long")]


def test_a_verdict_without_principal_and_without_reason_is_a_refusal(engine):
    async def empty(request: ConnectRequest) -> Verdict:
        return Verdict(ReasonCode.SUCCESS)

    engine.ask(question(1))
    pumped(engine, desk(empty), lambda: until(lambda: bool(engine.answers)))
    assert engine.answers == [Deny(1, ReasonCode.SERVER_UNAVAILABLE, "")]


def test_a_client_without_identifier_gets_one_that_nobody_can_guess(engine):
    async def assigned(request: ConnectRequest) -> Verdict:
        return Verdict.allow(Proof(PRESS), "press-01-")

    engine.ask(question(1), question(2))
    pumped(engine, desk(assigned), lambda: until(lambda: len(engine.answers) == 2))
    first, second = (answer.assigned_client_id for answer in engine.answers)
    assert first.startswith("press-01-")
    assert len(first) == len("press-01-") + 16
    assert first != second


def test_nobody_is_let_in_before_the_engine_knows_the_identities(engine):
    known = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.02)
        assert engine.answers == []
        known.set()
        await until(lambda: bool(engine.answers))

    async def wait_known() -> None:
        await known.wait()

    engine.ask(question(1))
    pumped(engine, Desk(Chain(allow), wait_known), work)


def test_events_are_written_in_order_to_the_last_one(engine):
    written: list[object] = []
    events = [{"event": "connected", "n": n} for n in range(2_000)]

    async def work() -> None:
        engine.tell(*events)
        await until(lambda: len(written) > 0)

    pumped(engine, desk(), work, written.extend)
    assert written == events


def test_whoever_carries_out_commands_is_told_of_them(engine):
    seen: list[ControlRequest] = []

    def take() -> None:
        seen.extend(engine.take_control(10))

    async def main() -> None:
        pump = Pump(engine, desk(), unwritten, take)
        pump.start()
        await asyncio.sleep(0.02)
        engine.command(ControlRequest("topic", b"{}", "admin", "panel"))
        await until(lambda: bool(seen))
        await pump.stop()

    asyncio.run(main())
    assert [request.client_id for request in seen] == ["panel"]
