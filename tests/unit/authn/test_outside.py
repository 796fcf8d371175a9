"""A provider that is slow fills its own gate; who does not get through is told so in time."""

import asyncio

import pytest

from bartizan.authn import Denied, ProviderUnavailable
from bartizan.authn.outside import Gate, Provider
from bartizan.config.outside import Outside
from bartizan.model.reason import ReasonCode

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def gate(concurrent_max: int = 2, waiting_max: int = 3, deadline_s: float = 5.0) -> Gate:
    return Gate("slow", concurrent_max=concurrent_max, waiting_max=waiting_max, deadline_s=deadline_s)


async def test_so_many_are_inside_at_once_and_no_more():
    inside: list[int] = []
    most = 0
    guard = gate()

    async def call() -> int:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        await asyncio.sleep(0)
        inside.pop()
        return 7

    assert await asyncio.gather(*(guard.ask(call) for _ in range(5))) == [7] * 5
    assert most == 2


async def test_who_finds_it_full_is_told_so_at_once():
    guard, never = gate(), asyncio.Event()
    waiting = [asyncio.create_task(guard.ask(never.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Denied) as denied:
        await guard.ask(never.wait)
    assert denied.value.reason is ReasonCode.SERVER_BUSY
    never.set()
    await asyncio.gather(*waiting)
    assert await guard.ask(never.wait)


async def test_waiting_for_a_turn_is_part_of_the_deadline():
    guard, never = gate(deadline_s=0.05), asyncio.Event()
    answers = await asyncio.gather(*(guard.ask(never.wait) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ProviderUnavailable] * 5
    never.set()
    assert await guard.ask(never.wait), "nobody is left inside"


async def test_an_error_leaves_no_one_inside():
    guard = gate(concurrent_max=1, waiting_max=0)

    async def fails() -> None:
        raise ValueError

    for _ in range(3):
        with pytest.raises(ValueError):
            await guard.ask(fails)


async def test_a_provider_that_is_slow_or_down_is_told_once_and_once_that_it_is_over():
    told: list[tuple[str, bool]] = []
    settings = Outside(deadline_s=0.05, concurrent_max=1, waiting_max=0)
    provider = Provider("slow", settings, lambda name, wrong: told.append((name, wrong is not None)))
    never = asyncio.Event()

    async def down() -> bool:
        raise ProviderUnavailable("down")

    async def says_no() -> bool:
        raise Denied(ReasonCode.NOT_AUTHORIZED, "no")

    for call, error in (
        (never.wait, ProviderUnavailable),
        (down, ProviderUnavailable),
        (says_no, Denied),
        (down, ProviderUnavailable),
    ):
        with pytest.raises(error):
            await provider.ask(call)
    assert told == [("slow", True), ("slow", False), ("slow", True)]


async def test_a_full_gate_says_nothing_of_the_provider():
    told: list[str | None] = []
    settings = Outside(deadline_s=1, concurrent_max=1, waiting_max=0)
    provider, never = Provider("slow", settings, lambda _name, wrong: told.append(wrong)), asyncio.Event()
    waiting = asyncio.create_task(provider.ask(never.wait))
    await asyncio.sleep(0)
    with pytest.raises(Denied):
        await provider.ask(never.wait)
    assert told == []
    never.set()
    assert await waiting
    assert told == []
