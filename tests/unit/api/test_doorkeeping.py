"""Requests of one address are bounded, and one address does not use up another's."""

import pytest

from bartizan.api.doorkeeping import ADDRESSES_MAX, Rate


class Clock:
    """Seconds, as a test sets them."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def status_of(rate: Rate, address: str) -> int:
    told: list[int] = []

    async def send(message):
        if message["type"] == "http.response.start":
            told.append(message["status"])

    await rate({"type": "http", "client": (address, 1)}, None, send)  # pyrefly: ignore[bad-argument-type]
    return told[0]


@pytest.mark.anyio
async def test_twice_the_rate_at_once_and_then_the_rate():
    clock = Clock()
    rate = Rate(nothing, 5, clock)
    assert [await status_of(rate, "192.0.2.1") for _ in range(11)] == [204] * 10 + [429]
    assert await status_of(rate, "192.0.2.2") == 204
    clock.at = 1.0
    assert [await status_of(rate, "192.0.2.1") for _ in range(6)] == [204] * 5 + [429]


@pytest.mark.anyio
async def test_what_is_remembered_of_addresses_is_bounded():
    rate = Rate(nothing, 5, Clock())
    for number in range(ADDRESSES_MAX + 10):
        await status_of(rate, str(number))
    assert len(rate._left) == ADDRESSES_MAX
