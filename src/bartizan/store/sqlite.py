"""Identities in SQLite: WAL, every commit synced, file 0600, safe beside a second process."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bartizan.errors import StoreUnavailable
from bartizan.store.migrations import migrate
from bartizan.store.ports import Delta
from bartizan.store.sql import SqlIdentityStore

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another, such as an import of many; then `StoreUnavailable`."""

# WAL lets `bartizan enrol` write while the broker reads; FULL syncs each commit, so that an
# identity that was shown to the operator is there after a power cut.
_PRAGMAS = (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class SqliteIdentityStore(SqlIdentityStore):
    """`IdentityStore` in one SQLite file."""

    def __init__(self, engine: AsyncEngine, watch: sqlite3.Connection) -> None:
        super().__init__(engine)
        self._watch = watch
        self._seen: tuple[int, int] | None = None
        """The file's version and the revision in it, when both were last looked at."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens the file, creating it (0600) and bringing its schema up to date."""
        try:
            # Created before SQLite sees it: its journal files copy this mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreUnavailable(f"the identity store {path} cannot be opened: {error.strerror}") from None
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(engine.sync_engine, "connect", _prepare)
        # Never waits: `changes_since` looks at the tables where it cannot tell.
        store = cls(engine, sqlite3.connect(path, timeout=0, isolation_level=None))
        try:
            async with store.writing() as connection:
                await connection.run_sync(migrate)
        except BaseException:
            await store.close()
            raise
        return store

    async def changes_since(self, revision: int) -> Delta:
        """What any process changed after `revision`. Where nothing was written at all, it costs no query."""
        version = self._file_version()
        if version is not None and self._seen == (version, revision):
            return Delta(revision=revision, written=frozenset(), removed=frozenset())
        # As it was before the query: a commit since then is another version.
        self._seen = None
        delta = await self.look_for_changes(revision)
        if version is not None:
            self._seen = (version, delta.revision)
        return delta

    async def close(self) -> None:
        """Closes the file."""
        self._watch.close()
        await self.dispose()

    def _file_version(self) -> int | None:
        """A number that another commit to the file changes (SQLite, `PRAGMA data_version`); none if it cannot be had."""
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    async def announce(self, connection: AsyncConnection) -> None:
        """Nothing to tell: the file's version has changed."""

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """See `SqlIdentityStore`."""
        async with self._engine.connect() as connection:
            # One snapshot for all statements: another process may commit between two of them.
            await connection.exec_driver_sql("BEGIN")
            yield connection

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncConnection]:
        """See `SqlIdentityStore`."""
        async with self._engine.begin() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection


def _prepare(driver_connection: DBAPIConnection, _record: object) -> None:
    cursor = driver_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
