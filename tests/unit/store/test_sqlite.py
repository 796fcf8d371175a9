"""What is particular to SQLite: rights, two processes, schema versions, what is on disk."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from bartizan.errors import AlreadyExists, StoreUnavailable
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Identity
from bartizan.store.migrations import MIGRATIONS
from bartizan.store.ports import Create
from bartizan.store.sqlite import SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_files_are_for_their_owner_only(tmp_path: Path):
    store = await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    await store.commit([Create(Identity(IdentityName("a"), AT))])
    modes = {
        file: stat.S_IMODE((tmp_path / file).stat().st_mode) for file in ("i.sqlite", "i.sqlite-wal", "i.sqlite-shm")
    }
    await store.close()
    assert set(modes.values()) == {0o600}


async def test_what_another_process_writes_is_seen(tmp_path: Path):
    store = await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    before = (await store.changes_since(0)).revision
    script = (
        "import asyncio, sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from bartizan.model.ids import IdentityName; from bartizan.model.principal import Identity\n"
        "from bartizan.store.ports import Create; from bartizan.store.sqlite import SqliteIdentityStore\n"
        "async def main():\n"
        "    s = await SqliteIdentityStore.open(Path(sys.argv[1]))\n"
        "    await s.commit([Create(Identity(IdentityName('from-outside'), datetime.now(UTC)))]); await "
        "s.close()\n"
        "asyncio.run(main())"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, str(tmp_path / ("i.sqlite"))], check=True)
    delta = await store.changes_since(before)
    await store.close()
    assert delta.written == {"from-outside"}


async def test_a_look_at_a_file_that_nobody_wrote_runs_no_statement_on_the_tables(tmp_path: Path):
    store = await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    revision = await store.commit([Create(Identity(IdentityName("a"), AT))])
    assert (await store.changes_since(revision)).written == frozenset()
    statements: list[object] = []

    @event.listens_for(store._engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    assert (await store.changes_since(revision)).revision == revision
    assert statements == []
    assert (await store.changes_since(0)).written == {"a"}
    await store.close()


async def test_writers_at_once_wait_for_each_other(tmp_path: Path):
    stores = [await SqliteIdentityStore.open(tmp_path / "i.sqlite") for _ in range(3)]
    await asyncio.gather(
        *(store.commit([Create(Identity(IdentityName(f"n{at}"), AT))]) for at, store in enumerate(stores * 5))
    )
    delta = await stores[0].changes_since(0)
    for store in stores:
        await store.close()
    assert (delta.revision, len(delta.written)) == (15, 15)


async def test_one_name_is_given_once_whoever_asks(tmp_path: Path):
    stores = [await SqliteIdentityStore.open(tmp_path / "i.sqlite") for _ in range(3)]
    answers = await asyncio.gather(
        *(store.commit([Create(Identity(IdentityName("one"), AT))]) for store in stores), return_exceptions=True
    )
    for store in stores:
        await store.close()
    assert sorted(type(answer).__name__ for answer in answers) == [AlreadyExists.__name__] * 2 + ["int"]


async def test_an_old_store_is_opened_again_and_a_newer_one_refused(tmp_path: Path):
    path = tmp_path / "i.sqlite"
    for _ in range(2):
        await (await SqliteIdentityStore.open(path)).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select version from schema_version").fetchall() == [(len(MIGRATIONS),)]
        connection.execute("update schema_version set version = 999")
    connection.close()
    with pytest.raises(StoreUnavailable, match="newer Bartizan"):
        await SqliteIdentityStore.open(path)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / "i.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SqliteIdentityStore.open(tmp_path / "nowhere" / "i.sqlite")


async def test_tables_are_strict(tmp_path: Path):
    await (await SqliteIdentityStore.open(tmp_path / "i.sqlite")).close()
    connection = sqlite3.connect(tmp_path / "i.sqlite")
    strict = dict(
        connection.execute(
            "select name, strict from pragma_table_list where type = 'table' and name not like 'sqlite_%'"
        )
    )
    connection.close()
    assert strict
    assert set(strict.values()) == {1}
