"""Identities in PostgreSQL, shared by several brokers: each hears of another's changes by LISTEN.

The driver, asyncpg, comes with the extra `bartizan[pg]`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bartizan.errors import StoreUnavailable
from bartizan.store.migrations import migrate
from bartizan.store.ports import Delta
from bartizan.store.sql import SqlIdentityStore

CHANNEL = "bartizan_identities"
CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 60.0
"""A server that takes longer has failed: the broker goes on with the identities that it knows."""

LOOK_AGAIN_S = 10.0
"""Longest time for which silence is taken for "nothing changed": a connection may have died unheard."""

CONNECTIONS_MAX = 4
_MIGRATION_LOCK = 0x62617274
"""An advisory lock: two brokers that start at once migrate one after the other."""


class PostgresIdentityStore(SqlIdentityStore):
    """`IdentityStore` in a PostgreSQL database."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._ear: AsyncConnection | None = None
        """The connection that listens; none before the first look and after it was lost."""
        self._heard = False
        self._seen: tuple[int, float] | None = None
        """The revision of the last look, and when that was."""

    @classmethod
    async def open(cls, url: str, password: str | None = None) -> Self:
        """Connects and brings the schema up to date. The password is in no message and no `repr`."""
        store = cls(open_engine(make_url(url), password))
        try:
            async with store.writing() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                await connection.run_sync(migrate)
        except BaseException:
            await store.close()
            raise
        return store

    async def changes_since(self, revision: int) -> Delta:
        """What any process changed after `revision`. Where nobody told of a change, it costs no query."""
        now = asyncio.get_running_loop().time()
        if await self._is_listening() and not self._heard and self._seen is not None:
            seen, at = self._seen
            if seen == revision and now - at < LOOK_AGAIN_S:
                return Delta(revision=revision, written=frozenset(), removed=frozenset())
        # Before the query: what is committed after it is heard again.
        self._heard = False
        self._seen = None
        delta = await self.look_for_changes(revision)
        self._seen = (delta.revision, now)
        return delta

    async def announce(self, connection: AsyncConnection) -> None:
        """Sent by the server when, and only when, the transaction is committed."""
        await connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})

    async def close(self) -> None:
        """Closes every connection."""
        await self._stop_listening()
        await self.dispose()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """See `SqlIdentityStore`."""
        async with self._engine.connect() as plain:
            yield await plain.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncConnection]:
        """See `SqlIdentityStore`: writers wait for each other at the row of the revision."""
        async with self._engine.begin() as connection:
            yield connection

    async def _is_listening(self) -> bool:
        try:
            if self._ear is not None and not (await _driver_of(self._ear)).is_closed():
                return True
            await self._stop_listening()
            self._ear = await self._engine.connect()
            await (await _driver_of(self._ear)).add_listener(CHANNEL, self._hear)
        except Exception:  # noqa: BLE001  whatever the driver says: who does not listen asks the tables
            await self._stop_listening()
            return False
        self._seen = None
        return True

    async def _stop_listening(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            with suppress(Exception):  # it is dead already, or about to be
                await ear.invalidate()
                await ear.close()

    def _hear(self, *_told: object) -> None:
        self._heard = True


async def _driver_of(connection: AsyncConnection) -> Any:  # noqa: ANN401  asyncpg has no types
    return (await connection.get_raw_connection()).driver_connection


def open_engine(
    url: URL,
    password: str | None,
    *,
    connections_max: int = CONNECTIONS_MAX,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    server_settings: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """Connections to a PostgreSQL, made when they are needed. The password is in no message and no `repr`."""
    # libpq's word in the URL, asyncpg's in its call.
    mode = url.query.get("sslmode")
    arguments: dict[str, object] = {"timeout": CONNECT_TIMEOUT_S, "command_timeout": statement_timeout_s}
    if mode is not None:
        arguments["ssl"] = mode
    if server_settings is not None:
        arguments["server_settings"] = dict(server_settings)
    target = url.difference_update_query(["sslmode"]).set(drivername="postgresql+asyncpg", password=password)
    try:
        return create_async_engine(
            target, connect_args=arguments, pool_size=connections_max, max_overflow=0, pool_pre_ping=True
        )
    except ModuleNotFoundError:
        raise StoreUnavailable("PostgreSQL needs the driver asyncpg: pip install 'bartizan[pg]'") from None
