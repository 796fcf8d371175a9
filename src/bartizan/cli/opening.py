"""Opens a data directory: settings, CA, identities. Refuses one that no first run has completed."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.broker.reading import read_policy
from bartizan.cli.person import person
from bartizan.config.files import read_secret
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError, NotFound
from bartizan.identity.ages import AgeLimits
from bartizan.identity.register import Register
from bartizan.model.actor import Actor
from bartizan.model.operator import Operator
from bartizan.policy import CompiledPolicy
from bartizan.store.ports import OperatorStore, WholeStore

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
async def identities(
    directory: DataDirectory, settings: Settings, actor: Actor | None = None
) -> AsyncIterator[RecordedStore]:
    """The identity store of a data directory, or the one that its settings name; closed at the end.

    What is changed of it is on record as done by this actor, or by who runs this process.
    """
    store = await _recorded(directory, settings, actor)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def unrecorded(directory: DataDirectory, settings: Settings) -> AsyncIterator[WholeStore]:
    """The same for a broker, which records by itself what is changed of it."""
    store = await _opened(directory, settings)
    try:
        yield store
    finally:
        await store.close()


def age_limits(settings: Settings, policy: CompiledPolicy | None) -> AgeLimits:
    """How old credentials may become; a policy that cannot be read says nothing about it."""
    return AgeLimits(settings.credentials.days_max, _nothing if policy is None else policy.credential_days_max)


def policy_there(directory: DataDirectory, settings: Settings) -> CompiledPolicy | None:
    """The policy of a data directory; None for one that cannot be read."""
    try:
        return read_policy(settings.policy.file or directory.policy)
    except ConfigurationError:
        return None


def _nothing(_roles: Iterable[str]) -> Mapping[str, int]:
    return {}


@asynccontextmanager
async def operators_of(data: Path, config: Path | None) -> AsyncIterator[OperatorStore]:
    """The operators of the broker that was set up there."""
    directory = existing(data)
    store = await _recorded(directory, settings_of(directory, config), None)
    try:
        yield store
    finally:
        await store.close()


async def operator_named(store: OperatorStore, name: str) -> Operator:
    """The operator of this name, or `NotFound`."""
    found = await store.operator(name)
    if found is None:
        raise NotFound(f"there is no operator {name!r}")
    return found


@asynccontextmanager
async def register_of(data: Path, config: Path | None) -> AsyncIterator[Register]:
    """The identities of the broker that was set up there."""
    directory = existing(data)
    async with identities(directory, settings_of(directory, config)) as store:
        yield Register(store)


def trail_of(directory: DataDirectory, settings: Settings, actor: Actor | None = None) -> Trail:
    """The record of changes of a data directory, as written by this actor, or by who runs this process."""
    return Trail.of(directory.audit, settings.audit, actor or person())


async def _recorded(directory: DataDirectory, settings: Settings, actor: Actor | None) -> RecordedStore:
    return RecordedStore(await _opened(directory, settings), trail_of(directory, settings, actor))


async def _opened(directory: DataDirectory, settings: Settings) -> WholeStore:
    if settings.store.identities is None:
        from bartizan.store.sqlite import SqliteIdentityStore  # noqa: PLC0415  half the start of a verb that needs none

        return await SqliteIdentityStore.open(directory.identities)
    from bartizan.store.postgres import PostgresIdentityStore  # noqa: PLC0415  most need no PostgreSQL

    file = settings.store.identities_password_file
    password = None if file is None else read_secret(file, "the password file of the identity database")
    return await PostgresIdentityStore.open(settings.store.identities, password)
