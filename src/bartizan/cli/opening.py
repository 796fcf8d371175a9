"""Opens a data directory: settings, CA, identities. Refuses one that no first run has completed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError
from bartizan.store.sqlite import SqliteIdentityStore

DEFAULT_DATA = Path("bartizan-data")
"""The data directory when `--data` is not given: beside where the command is started."""


def existing(data: Path) -> DataDirectory:
    """A data directory that a first run has completed."""
    directory = DataDirectory(data)
    if not directory.first_run_mark.exists():
        raise ConfigurationError(
            "no broker was set up here",
            str(data),
            "start `bartizan up` once, or name its directory with --data",
        )
    return directory


def settings_of(directory: DataDirectory, config: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """The settings of `--config`, else of the data directory's own file, else the defaults."""
    own = directory.configuration
    return load_settings(config or (own if own.exists() else None), overrides)


@asynccontextmanager
async def identities(directory: DataDirectory) -> AsyncIterator[SqliteIdentityStore]:
    """The identity store of a data directory, closed at the end."""
    store = await SqliteIdentityStore.open(directory.identities)
    try:
        yield store
    finally:
        await store.close()
