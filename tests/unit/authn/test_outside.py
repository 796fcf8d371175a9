"""A provider that is slow fills its own gate; who does not get through is told so in time."""

import asyncio

import pytest

from bartizan.authn import Denied, ProviderUnavailable
from bartizan.authn.outside import Gate
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
