"""A real PostgreSQL for tests; without one the calling test is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import postgres
from bench.postgres import USER, Server
from tests.left_out import leave_out

__all__ = ["USER", "Server", "find_programs", "started"]


def find_programs() -> Path:
    """Where it is installed; without it the calling test is left out."""
    found = postgres.find_programs()
    if found is None:
        leave_out("PostgreSQL is not installed", "apt-get install postgresql")
    return Path(str(found))


@contextmanager
def started() -> Iterator[Server]:
    """A server, until the end of the block."""
    with postgres.started(find_programs()) as server:
        yield server
