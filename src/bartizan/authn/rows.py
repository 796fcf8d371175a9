"""The one row that a query answers about a User Name: from PostgreSQL or from SQLite, and never more than read.

Parameters are bound, never written into the query. A statement that takes too long is ended where it runs.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import monotonic
from typing import Any, Protocol

from sqlalchemy import make_url, text

from bartizan.authn.base import ProviderUnavailable
from bartizan.config.accounts import PARAMETER, Sql
from bartizan.config.files import read_secret
from bartizan.store.postgres import open_engine

Row = Mapping[str, Any]

STEPS = 1_000
"""Instructions of SQLite between two looks at the clock."""


class Rows(Protocol):
    """Where the rows are."""

    async def find(self, values: Mapping[str, str]) -> Sequence[Row]:
        """The first two rows, or fewer; `ProviderUnavailable` if the query fails."""
        ...

    async def aclose(self) -> None:
        """Closes connections."""
        ...


class PostgresRows:
    """Rows of a PostgreSQL, in transactions that cannot write."""

    def __init__(self, name: str, settings: Sql) -> None:
        self._name = name
        self._query = text(settings.query)
        password = None
        if settings.database_password_file is not None:
            password = read_secret(settings.database_password_file, "the password of the database")
        self._engine = open_engine(
            make_url(str(settings.database)),
            password,
            connections_max=settings.concurrent_max,
            statement_timeout_s=settings.deadline_s,
            server_settings={
                "application_name": "bartizan",
                "default_transaction_read_only": "on",
                "statement_timeout": str(max(1, int(settings.deadline_s * 1000))),
            },
        )

    async def find(self, values: Mapping[str, str]) -> Sequence[Row]:
        """See `Rows`."""
        try:
            async with self._engine.connect() as plain:
                connection = await plain.execution_options(postgresql_readonly=True)
                found = await connection.execute(self._query, dict(values))
                return [dict(row) for row in found.mappings().fetchmany(2)]
        except Exception as error:  # noqa: BLE001  the driver's own kinds come through too
            # Its text may hold what was asked for; its kind, and the server's code, are enough.
            code = getattr(getattr(error, "orig", error), "sqlstate", None)
            why = f"{type(error).__name__}{f' {code}' if code else ''}"
            raise ProviderUnavailable(f"{self._name}: the query failed: {why}") from None

    async def aclose(self) -> None:
        """See `Rows`."""
        await self._engine.dispose()


class SqliteRows:
    """Rows of a SQLite file, opened anew for each question, so that a file that was replaced is seen."""

    def __init__(self, name: str, settings: Sql) -> None:
        self._name = name
        self._query = settings.query
        self._deadline_s = settings.deadline_s
        self._place = f"{settings.sqlite_file.absolute().as_uri()}?mode=ro" if settings.sqlite_file else ""
        self._threads = ThreadPoolExecutor(settings.concurrent_max, thread_name_prefix=name)

    async def find(self, values: Mapping[str, str]) -> Sequence[Row]:
        """See `Rows`."""
        ends = monotonic() + self._deadline_s
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._find, values, ends)
        except (sqlite3.Error, sqlite3.Warning) as error:
            code = getattr(error, "sqlite_errorname", type(error).__name__)
            raise ProviderUnavailable(f"{self._name}: the query failed: {code}") from None

    async def aclose(self) -> None:
        """See `Rows`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _find(self, values: Mapping[str, str], ends: float) -> list[Row]:
        left_s = max(0.0, ends - monotonic())
        with closing(sqlite3.connect(self._place, uri=True, timeout=left_s)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only = 1")
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # no other file
            connection.set_progress_handler(lambda: monotonic() > ends, STEPS)
            return [dict(row) for row in connection.execute(self._query, dict(values)).fetchmany(2)]


def rows_of(name: str, settings: Sql) -> Rows:
    """The rows that the settings name. Reads the file of the password."""
    return SqliteRows(name, settings) if settings.sqlite_file is not None else PostgresRows(name, settings)


def parameters(query: str) -> frozenset[str]:
    """By what a query asks."""
    return frozenset(PARAMETER.findall(query))
