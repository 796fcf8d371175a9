"""Identities in SQLite: WAL, every commit synced, file 0600, safe beside a second process."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Delete, Insert, Table, delete, event, insert, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bartizan.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from bartizan.model.principal import Identity
from bartizan.store import rows
from bartizan.store.ports import Change, Create, Delta, Remove
from bartizan.store.tables import ATTRIBUTE, CREDENTIAL, IDENTITY, REMOVED, REVISION, ROLE, migrate

BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another process; then `StoreUnavailable`."""

# WAL lets `bartizan enrol` write while the broker reads; FULL syncs each commit, so that an
# identity that was shown to the operator is there after a power cut.
_PRAGMAS = (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
_OWNED = ((ROLE, rows.role_rows), (ATTRIBUTE, rows.attribute_rows), (CREDENTIAL, rows.credential_rows))


class SqliteIdentityStore:
    """`IdentityStore` in one SQLite file."""

    def __init__(self, engine: AsyncEngine, watch: sqlite3.Connection) -> None:
        self._engine = engine
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
            async with store._write() as connection:
                await connection.run_sync(migrate)
        except BaseException:
            await store.close()
            raise
        return store

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        found = await self._select(IDENTITY.c.name == name)
        return found[0] if found else None

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        if not names:
            return frozenset()
        async with self._read() as connection:
            found = await connection.execute(select(IDENTITY.c.name).where(IDENTITY.c.name.in_(names)))
            return frozenset(found.scalars())

    async def changes_since(self, revision: int) -> Delta:
        """What any process changed after `revision`. Where nothing was written at all, it costs no query."""
        version = self._file_version()
        if version is not None and self._seen == (version, revision):
            return Delta(revision=revision, written=frozenset(), removed=frozenset())
        async with self._read() as connection:
            now = (await connection.execute(select(REVISION.c.value))).scalar_one()
            # As it was before the query: a commit since then is another version.
            self._seen = None if version is None else (version, now)
            if now == revision:
                return Delta(revision=now, written=frozenset(), removed=frozenset())
            written = await connection.execute(select(IDENTITY.c.name).where(IDENTITY.c.revision > revision))
            removed = await connection.execute(select(REMOVED.c.name).where(REMOVED.c.revision > revision))
            return Delta(revision=now, written=frozenset(written.scalars()), removed=frozenset(removed.scalars()))

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        return await self._select(IDENTITY.c.name > after, limit)

    async def commit(self, changes: Sequence[Change]) -> int:
        """All changes or none, durable when this returns."""
        async with self._write() as connection:
            # First of all, so that this transaction holds the write lock before it reads.
            await connection.execute(update(REVISION).values(value=REVISION.c.value + 1))
            revision: int = (await connection.execute(select(REVISION.c.value))).scalar_one()
            for change in changes:
                await _apply(connection, change, revision)
            return revision

    async def close(self) -> None:
        """Closes the file."""
        self._watch.close()
        await self._engine.dispose()

    def _file_version(self) -> int | None:
        """A number that another commit to the file changes (SQLite, `PRAGMA data_version`); none if it cannot be had."""
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    async def _select(self, condition: ColumnElement[bool], limit: int = 1) -> list[Identity]:
        async with self._read() as connection:
            found = (
                (await connection.execute(select(IDENTITY).where(condition).order_by(IDENTITY.c.name).limit(limit)))
                .mappings()
                .all()
            )
            names = [row["name"] for row in found]
            roles, attributes, credentials = [await _owned(connection, table, names, order) for table, order in _ORDER]
        return [
            rows.identity_of(row, roles[row["name"]], attributes[row["name"]], credentials[row["name"]])
            for row in found
        ]

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                # One snapshot for all statements: another process may commit between two of them.
                await connection.exec_driver_sql("BEGIN")
                yield connection
        except SQLAlchemyError as error:
            raise _unavailable(error) from error

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except IntegrityError as error:
            raise Conflict("the change contradicts what is stored") from error
        except SQLAlchemyError as error:
            raise _unavailable(error) from error


_ORDER = ((ROLE, ROLE.c.position), (ATTRIBUTE, ATTRIBUTE.c.attribute), (CREDENTIAL, CREDENTIAL.c.created_at))


def _prepare(driver_connection: DBAPIConnection, _record: object) -> None:
    cursor = driver_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _unavailable(error: SQLAlchemyError) -> StoreUnavailable:
    cause = getattr(error, "orig", None) or error
    return StoreUnavailable(f"the identity store cannot be used: {cause}")


async def _owned(
    connection: AsyncConnection, table: Table, names: Sequence[str], order: ColumnElement[object]
) -> dict[str, list[rows.Row]]:
    grouped: dict[str, list[rows.Row]] = defaultdict(list)
    found = await connection.execute(select(table).where(table.c.identity.in_(names)).order_by(table.c.identity, order))
    for row in found.mappings():
        grouped[row["identity"]].append(row)
    return grouped


async def _apply(connection: AsyncConnection, change: Change, revision: int) -> None:
    if isinstance(change, Remove):
        if not await _changed(connection, delete(IDENTITY).where(IDENTITY.c.name == str(change.name))):
            raise NotFound(f"there is no identity {change.name!r}")
        await connection.execute(insert(REMOVED).values(name=str(change.name), revision=revision))
        return
    identity = change.identity
    name = str(identity.name)
    before = (await connection.execute(select(IDENTITY.c.revision).where(IDENTITY.c.name == name))).scalar_one_or_none()
    if isinstance(change, Create):
        if before is not None:
            raise AlreadyExists(f"an identity {name!r} exists already")
        await connection.execute(delete(REMOVED).where(REMOVED.c.name == name))
        await connection.execute(insert(IDENTITY).values(**rows.identity_row(identity, revision)))
    else:
        if before is None:
            raise NotFound(f"there is no identity {name!r}")
        if before != identity.revision:
            raise Conflict(f"identity {name!r} was changed in between")
        await connection.execute(
            update(IDENTITY).where(IDENTITY.c.name == name).values(**rows.identity_row(identity, revision))
        )
    for table, to_rows in _OWNED:
        await connection.execute(delete(table).where(table.c.identity == name))
        owned = to_rows(identity)
        if owned:
            await connection.execute(insert(table), owned)


async def _changed(connection: AsyncConnection, statement: Delete | Insert) -> bool:
    return bool((await connection.execute(statement)).rowcount)
