"""Throttles: told to the engine whenever one begins or ends, bounded, over by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from bartizan.broker import throttles as module
from bartizan.broker.throttles import Throttles
from bartizan.errors import Conflict, InvalidValue, NotFound
from bartizan.model.throttle import RATE_MAX, Throttle, new_throttle
from tests.unit.broker.fake import FakeEngine

AT = datetime(2026, 11, 22, tzinfo=UTC)


def throttle(name: str = "press-01", *, minutes: int = 60, rate: int = 5) -> Throttle:
    return new_throttle(name, messages_per_s=rate, until=AT + timedelta(minutes=minutes), reason="INC-1", by="anna")


async def test_the_engine_is_told_all_that_hold_whenever_one_begins_or_ends():
    engine = FakeEngine()
    held = Throttles(engine)
    await held.put(throttle())
    await held.put(throttle("press-02", minutes=1))
    await held.put(throttle(rate=9))
    assert [each.identity for each in held.every(AT)] == ["press-01", "press-02"]
    await held.end(AT)
    await held.end(AT + timedelta(minutes=1))
    await held.end(AT + timedelta(minutes=2))
    assert [each.identity for each in held.every(AT)] == ["press-01"]
    assert (await held.remove("press-01")).messages_per_s == 9
    with pytest.raises(NotFound):
        await held.remove("press-01")
    assert engine.throttled == [
        {"press-01": [5, 0]},
        {"press-01": [5, 0], "press-02": [5, 0]},
        {"press-01": [9, 0], "press-02": [5, 0]},
        {"press-01": [9, 0]},
        {},
    ]


async def test_throttles_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "THROTTLES_MAX", 1)
    held = Throttles(FakeEngine())
    await held.put(throttle())
    await held.put(throttle(rate=9))
    with pytest.raises(Conflict):
        await held.put(throttle("press-02"))


@pytest.mark.parametrize("rates", [(0, 0), (-1, 5), (RATE_MAX + 1, 0)])
def test_what_is_no_throttle_is_refused(rates):
    messages, octets = rates
    with pytest.raises(InvalidValue):
        new_throttle("press-01", messages_per_s=messages, bytes_per_s=octets, until=AT)
