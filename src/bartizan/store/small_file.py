"""A small SQLite file beside the identities: opened for each call, private, written by whoever comes, one at a time.

What is in such a file harms nobody if its last seconds are lost: it is not synced with each commit.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bartizan.errors import StoreUnavailable

BUSY_TIMEOUT_S = 30.0


class SmallFile:
    """The file, of this schema. `what` is what it holds, for error texts."""

    def __init__(self, path: Path, schema: str, what: str) -> None:
        self._path = path
        self._schema = schema
        self._what = what

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """None where nothing was written yet."""
        if not self._path.exists():
            yield None
            return
        with self._opened() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            # Created before SQLite sees it: its journal files copy this mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(self._schema)
                yield connection
            finally:
                connection.close()
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"the {self._what} {self._path} cannot be used: {error}") from None
