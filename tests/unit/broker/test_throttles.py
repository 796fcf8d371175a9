"""Throttles: kept in the store, told to the engine whenever one begins or ends and from the start, over by themselves."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.broker.apply import InForce
from bartizan.broker.directory import LiveDirectory
from bartizan.errors import InvalidValue
from bartizan.model.throttle import RATE_MAX, Throttle, new_throttle
from bartizan.policy import check
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import PutThrottle, RemoveThrottle
from tests.unit.broker.fake import FakeEngine

POLICY = check("[roles.press]\n", "policy").compiled


def throttle(name: str = "press-01", *, lasts: timedelta = timedelta(hours=1), rate: int = 5) -> Throttle:
    return new_throttle(name, messages_per_s=rate, until=datetime.now(UTC) + lasts, reason="INC-1", by="anna")


async def running(store: MemoryIdentityStore, engine: FakeEngine) -> tuple[LiveDirectory, InForce]:
    directory = LiveDirectory(store)
    await directory.load()
    assert POLICY is not None
    in_force = InForce(engine, directory, POLICY)
    await in_force.begin()
    return directory, in_force


async def test_the_engine_is_told_all_that_hold_whenever_one_begins_or_ends():
    store, engine = MemoryIdentityStore(), FakeEngine()
    directory, in_force = await running(store, engine)
    for each in (throttle(), throttle("press-02"), throttle(rate=9)):
        await in_force.change(lambda each=each: store.commit([PutThrottle(each)]))
    assert [each.identity for each in directory.throttles(datetime.now(UTC))] == ["press-01", "press-02"]
    await in_force.put()
    await in_force.change(lambda: store.commit([RemoveThrottle("press-01")]))
    assert engine.throttled == [
        {"press-01": [5, 0]},
        {"press-01": [5, 0], "press-02": [5, 0]},
        {"press-01": [9, 0], "press-02": [5, 0]},
        {"press-02": [5, 0]},
    ]


async def test_they_hold_over_a_restart_and_what_ended_meanwhile_does_not():
    store, engine = MemoryIdentityStore(), FakeEngine()
    await store.commit([PutThrottle(throttle()), PutThrottle(throttle("press-02", lasts=timedelta(seconds=-1)))])
    directory, _ = await running(store, engine)
    assert engine.throttled == [{"press-01": [5, 0]}]
    await directory.let_go(store)
    assert [each.identity for each in await store.throttles()] == ["press-01"]
    assert engine.throttled == [{"press-01": [5, 0]}]


async def test_one_ends_by_itself():
    store, engine = MemoryIdentityStore(), FakeEngine()
    directory, in_force = await running(store, engine)
    await in_force.change(lambda: store.commit([PutThrottle(throttle(lasts=timedelta(seconds=0.1)))]))
    await asyncio.sleep(0.1)
    assert directory.throttles(datetime.now(UTC)) == []
    await directory.refresh()
    assert directory.changed.is_set()
    await in_force.follow()
    assert engine.throttled == [{"press-01": [5, 0]}, {}]


async def test_what_is_throttled_anew_before_it_is_let_go_stays():
    store, engine = MemoryIdentityStore(), FakeEngine()
    await store.commit([PutThrottle(throttle(lasts=timedelta(seconds=-1)))])
    directory, _ = await running(store, engine)
    again = throttle(rate=9)
    await store.commit([PutThrottle(again)])
    await directory.let_go(store)
    assert await store.throttles() == [again]


@pytest.mark.parametrize("rates", [(0, 0), (-1, 5), (RATE_MAX + 1, 0)])
def test_what_is_no_throttle_is_refused(rates):
    messages, octets = rates
    with pytest.raises(InvalidValue):
        new_throttle("press-01", messages_per_s=messages, bytes_per_s=octets, until=datetime.now(UTC))
