"""Bans: what is written, what is asked of a broker that runs, what is told."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import NotFound
from bartizan.model.ban import BanOf, new_ban
from bartizan.model.ending import CutConnection, Ended
from bartizan.respond.bans import Bans
from bartizan.respond.live import Live
from bartizan.store.memory import MemoryIdentityStore

AT = datetime(2026, 11, 22, tzinfo=UTC)
CUT = CutConnection("press-01", "press-01-a", None, "192.0.2.7", "the address is banned")
BAN = new_ban(BanOf.ADDRESS, "192.0.2.0/24", at=AT, until=AT + timedelta(hours=1), reason="INC-1", by="anna")


class Broker(Live):
    """Writes, and says that one connection was cut."""

    @property
    def role_names(self) -> Collection[str]:
        return ()

    async def change(self, write: Callable[[], Awaitable[object]], *, clears_retained: Collection[str] = ()) -> Ended:
        del clears_retained
        await write()
        return Ended(cut=(CUT,))


async def test_a_ban_is_written_put_in_force_and_told_with_whom_it_cut():
    store = MemoryIdentityStore()
    done = await Bans(store, Broker()).add(BAN)
    assert await store.bans() == [BAN]
    told = done.as_dict()
    assert (told["is_in_force"], told["cut"][0]["client_id"]) == (True, "press-01-a")
    assert (told["id"], told["until"], told["by"]) == (BAN.id, "2026-11-22T01:00:00+00:00", "anna")


async def test_without_a_broker_it_waits_for_the_next_start():
    done = await Bans(MemoryIdentityStore(), None).add(BAN)
    assert (done.is_in_force, done.cut) == (False, ())


async def test_what_is_over_is_neither_shown_nor_removed():
    bans = Bans(MemoryIdentityStore(), None)
    await bans.add(BAN)
    assert await bans.every(AT) == [BAN]
    assert await bans.every(AT + timedelta(hours=1)) == []
    with pytest.raises(NotFound):
        await bans.remove(BAN.id, AT + timedelta(hours=1))
    assert (await bans.remove(BAN.id, AT)).ban == BAN
    with pytest.raises(NotFound, match="ban list"):
        await bans.get(BAN.id, AT)
