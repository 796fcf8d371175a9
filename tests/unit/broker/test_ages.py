"""What ends soon is told thirty, seven and one day before, once each, and once that it has; and counted."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.broker import ages
from bartizan.broker.ages import AgeWatch
from bartizan.broker.directory import LiveDirectory
from bartizan.broker.log import Journal
from bartizan.config.schema import LogSettings
from bartizan.identity.ages import AgeLimits
from bartizan.identity.register import Register, new_identity
from bartizan.model.credential import PasswordCredential
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Replace

HASH = "$argon2id$x"
DAYS_MAX = 90


class Bench:
    """Identities with a password each, and what was told of them."""

    def __init__(self, *, enforced: bool = True) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.more = 0
        self.journal = Journal(io.StringIO(), LogSettings())
        self.journal.watch(self._take)
        self.store = MemoryIdentityStore()
        self.directory = LiveDirectory(self.store)
        limits = AgeLimits({"password": DAYS_MAX}, lambda _roles: {})
        self.watch = AgeWatch(self.directory, limits, self.journal, enforced=enforced)

    def _take(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            if event["event"] == "credential_expiring":
                self.told.append((event["identity"], event["effect"], event["days_left"]))
            else:
                self.more += event["count"]

    async def has(self, name: str, days_left: float) -> None:
        """An identity, new or known, whose password grows too old in so many days."""
        made = datetime.now(UTC) - timedelta(days=DAYS_MAX - days_left)
        wanted = replace(
            new_identity(name, at=made, roles=["press"]), credentials=(PasswordCredential("c", HASH, made),)
        )
        known = await self.store.get(name)
        if known is None:
            await Register(self.store).add(wanted)
        else:
            await self.store.commit([Replace(replace(known, credentials=wanted.credentials))])
        await self.directory.refresh()

    async def looked(self) -> list[str]:
        """Of whom something is told by one look."""
        self.told.clear()
        await self.watch.look()
        return sorted(name for name, *_ in self.told)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.journal.close()


async def test_each_stage_is_told_once(bench):
    await bench.has("press-01", 31)
    assert await bench.looked() == []
    for days_left in (29.5, 6.5, 0.5, -0.5):
        await bench.has("press-01", days_left)
        assert await bench.looked() == ["press-01"]
        assert bench.told[0][2] == (int(days_left) if days_left > 0 else -1)
        assert await bench.looked() == []


async def test_within_a_stage_nothing_is_told_again_and_a_new_credential_begins_anew(bench):
    await bench.has("press-01", 29)
    assert await bench.looked() == ["press-01"]
    await bench.has("press-01", 8)
    assert await bench.looked() == []
    await bench.has("press-01", 80)
    assert await bench.looked() == []
    await bench.has("press-01", 29)
    assert await bench.looked() == ["press-01"]


async def test_how_many_end_within_so_many_days_is_counted_and_what_has_ended_by_itself(bench):
    for name, days_left in (("far", 40), ("month", 20), ("week", 5), ("day", 0.5), ("gone", -1), ("long-gone", -40)):
        await bench.has(name, days_left)
    assert await bench.looked() == ["day", "gone", "long-gone", "month", "week"]
    assert bench.watch.counts == {30: 3, 7: 2, 1: 1, 0: 2}
    await bench.has("day", 80)
    await bench.looked()
    assert bench.watch.counts == {30: 2, 7: 1, 1: 0, 0: 2}


@pytest.mark.parametrize(("enforced", "effect"), [(True, "refused"), (False, "warned")])
async def test_it_is_told_what_becomes_of_it(enforced, effect):
    bench = Bench(enforced=enforced)
    await bench.has("press-01", 5)
    await bench.looked()
    assert [told[1] for told in bench.told] == [effect]
    bench.journal.close()


async def test_of_many_at_once_some_are_told_and_the_rest_are_a_number(bench, monkeypatch):
    monkeypatch.setattr(ages, "TELL_MAX", 2)
    for number in range(5):
        await bench.has(f"press-{number}", 5)
    assert len(await bench.looked()) == 2
    assert bench.more == 3
    assert await bench.looked() == []
