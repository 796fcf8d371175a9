"""What is particular to PostgreSQL: several brokers on one database, changes heard, errors without secrets."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import event

from bartizan.errors import StoreUnavailable
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Identity
from bartizan.store.migrations import MIGRATIONS
from bartizan.store.ports import Create
from bartizan.store.postgres import PostgresIdentityStore
from tests.postgres import USER, Server

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def url(postgres: Server) -> str:
    return await asyncio.to_thread(postgres.make_database)


@pytest.fixture
async def store(postgres: Server, url: str) -> AsyncIterator[PostgresIdentityStore]:
    store = await PostgresIdentityStore.open(url, postgres.password)
    yield store
    await store.close()


def identity(name: str) -> Identity:
    return Identity(IdentityName(name), AT)


async def test_brokers_that_open_an_empty_database_at_once_make_one_schema(postgres: Server, url: str):
    stores = await asyncio.gather(*(PostgresIdentityStore.open(url, postgres.password) for _ in range(4)))
    for store in stores:
        await store.close()
    database = url.partition("@/")[2].partition("?")[0]
    assert await asyncio.to_thread(postgres.sql, "select version from schema_version", database) == str(len(MIGRATIONS))


async def test_what_another_broker_writes_is_heard_and_silence_costs_no_query(store, postgres, url):
    other = await PostgresIdentityStore.open(url, postgres.password)
    await store.changes_since(0)
    statements: list[object] = []

    @event.listens_for(store._engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    assert (await store.changes_since(0)).revision == 0
    assert statements == []
    revision = await other.commit([Create(identity("from-outside"))])
    assert (await store.look_for_changes(0)).revision == revision, "whether or not the notice has come"
    await other.close()
    async with asyncio.timeout(5):
        while (delta := await store.changes_since(0)).revision == 0:  # noqa: ASYNC110  what it waits for has no event
            await asyncio.sleep(0.01)
    assert (delta.revision, delta.written) == (revision, {"from-outside"})


async def test_a_connection_that_was_cut_is_made_again_and_nothing_is_missed(store, postgres, url):
    await store.changes_since(0)
    cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    assert int(await asyncio.to_thread(postgres.sql, cut, url.partition("@/")[2].partition("?")[0])) >= 1
    other = await PostgresIdentityStore.open(url, postgres.password)
    revision = await other.commit([Create(identity("meanwhile"))])
    await other.close()
    async with asyncio.timeout(5):
        while True:
            try:
                delta = await store.changes_since(0)
            except StoreUnavailable:
                delta = None
            if delta is not None and delta.revision == revision:
                break
            await asyncio.sleep(0.01)
    assert delta.written == {"meanwhile"}
    assert await store.commit([Create(identity("after"))]) == revision + 1


async def test_writers_at_once_wait_for_each_other(store, postgres, url):
    other = await PostgresIdentityStore.open(url, postgres.password)
    revisions = await asyncio.gather(*((store, other)[at % 2].commit([Create(identity(f"n{at}"))]) for at in range(20)))
    await other.close()
    assert sorted(revisions) == list(range(1, 21))
    names = [one.name for one in await store.page("", 100)]
    assert all(first < second for first, second in pairwise(names))
    assert len(names) == 20


async def test_a_driver_that_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StoreUnavailable, match=re.escape("pip install 'bartizan[pg]'")):
        await PostgresIdentityStore.open("postgresql://u@localhost/b")


async def test_a_wrong_password_and_a_server_that_is_away_are_told_without_the_password(postgres, url, tmp_path):
    for address, password in ((url, "wrong-password"), (f"postgresql://{USER}@/x?host={tmp_path}", postgres.password)):
        with pytest.raises(StoreUnavailable) as refused:
            await PostgresIdentityStore.open(address, password)
        assert password not in str(refused.value)
        assert password not in repr(refused.value.__cause__)
