"""All identities in memory: level with the store, also when another process writes it."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

from bartizan.broker.apply import InForce
from bartizan.broker.directory import LiveDirectory, enabled_json
from bartizan.identity.register import Register, new_identity
from bartizan.model.principal import IdentityState
from bartizan.policy import check
from bartizan.store import MemoryIdentityStore
from tests.unit.broker.fake import FakeEngine

NOW = datetime.now(UTC)
PRESS = new_identity("press-01", at=NOW, roles=["press"], attributes={"site": "chicago"})
POLICY = check("[roles.press]\n", "policy").compiled


class CountingStore(MemoryIdentityStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    async def changes_since(self, revision):
        self.looks += 1
        return await super().changes_since(revision)


async def loaded(store: MemoryIdentityStore) -> LiveDirectory:
    directory = LiveDirectory(store)
    await directory.load()
    return directory


async def test_an_identity_made_a_moment_ago_is_found_at_once():
    store = MemoryIdentityStore()
    directory = await loaded(store)
    await Register(store).add(PRESS)
    found = await directory.get("press-01")
    assert found is not None
    assert found.roles == ("press",)
    assert directory.changed.is_set()


async def test_a_removed_identity_is_gone_after_a_refresh():
    store = MemoryIdentityStore()
    await Register(store).add(PRESS)
    directory = await loaded(store)
    await Register(store).remove(PRESS.name)
    assert await directory.refresh()
    assert await directory.get("press-01") is None
    assert await directory.known(["press-01"]) == frozenset()
    assert not await directory.refresh()


async def test_a_flood_of_unknown_names_is_not_a_flood_of_queries():
    store = CountingStore()
    directory = await loaded(store)
    before = store.looks
    await asyncio.gather(*(directory.get(f"nobody-{n}") for n in range(1_000)))
    assert store.looks - before <= 2


def test_only_enabled_identities_reach_the_engine():
    disabled = replace(new_identity("press-02", at=NOW), state=IdentityState.DISABLED)
    assert json.loads(enabled_json([disabled, PRESS])) == [
        {"id": "press-01", "roles": ["press"], "attributes": {"site": "chicago"}, "revoked": []}
    ]


async def test_settled_waits_until_the_engine_knows_what_the_directory_knows():
    assert POLICY is not None
    store, engine = MemoryIdentityStore(), FakeEngine()
    directory = await loaded(store)
    in_force = InForce(engine, directory, POLICY)
    await in_force.begin()
    await asyncio.wait_for(in_force.settled(), 1)
    await Register(store).add(PRESS)
    await directory.refresh()
    waiting = asyncio.create_task(in_force.settled())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await in_force.put()
    await asyncio.wait_for(waiting, 1)
    assert b"press-01" in engine.applied[-1][1]
    engine.close()
