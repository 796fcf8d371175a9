"""Identities in tables: what the SQLite and the PostgreSQL adapter share. Each gives it transactions."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy import select, text, tuple_
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.errors import Conflict, StoreUnavailable
from bartizan.model.ban import Ban
from bartizan.model.credential import CertificateCredential
from bartizan.model.group import Group
from bartizan.model.principal import Identity
from bartizan.model.throttle import Throttle
from bartizan.model.usage import Usage
from bartizan.store import queries, rows
from bartizan.store.operators import SqlOperators
from bartizan.store.ports import Change, Delta, Order, Place, Told
from bartizan.store.tables import BAN, CREDENTIAL, IDENTITY, REMOVED, REVISION, THROTTLE, USAGE
from bartizan.store.writer import Writer

# Core has no word for "insert or update" that both dialects share; this text is the same in both.
_KEEP_USAGE = text(
    "INSERT INTO identity_usage (identity, credential_id, last_seen_ms, address)"
    " VALUES (:identity, :credential_id, :last_seen_ms, :address)"
    " ON CONFLICT (identity, credential_id) DO UPDATE"
    " SET last_seen_ms = excluded.last_seen_ms, address = excluded.address"
    " WHERE identity_usage.last_seen_ms <= excluded.last_seen_ms"
)


class SqlIdentityStore(SqlOperators):
    """`IdentityStore` and `OperatorStore` on an SQLAlchemy engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        found = await self.get_many([name])
        return found[0] if found else None

    async def get_many(self, names: Collection[str]) -> Sequence[Identity]:
        """The identities of these names, as far as there are any."""
        found: list[Identity] = []
        async with self.reading() as connection:
            for part in queries.parts(queries.askable(names)):
                found += await queries.identities(connection, lambda name, part=part: name.in_(part))
        return found

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        if not names:
            return frozenset()
        async with self.reading() as connection:
            return frozenset(await queries.names_in(connection, IDENTITY, names))

    async def held(self, name: str) -> Identity | None:
        """See `IdentityDirectory`."""
        return await self.get(name)

    async def renewed(self, name: str, identity: Identity | None) -> Identity | None:
        """See `IdentityDirectory`."""
        found = await self.get(name)
        return found if found != identity else None

    async def look_for_changes(self, revision: int) -> Delta:
        """What any process changed after `revision`, from the tables."""
        async with self.reading() as connection:
            of = REVISION.c
            asked = select(of.value, of.groups_value, of.bans_value, of.throttles_value)
            now, groups_at, bans_at, throttles_at = (await connection.execute(asked)).one()
            if now <= revision:
                return Delta(revision=now, written=frozenset(), removed=frozenset())
            written = await connection.execute(select(IDENTITY.c.name).where(IDENTITY.c.revision > revision))
            removed = await connection.execute(select(REMOVED.c.name).where(REMOVED.c.revision > revision))
            return Delta(
                revision=now,
                written=frozenset(written.scalars()),
                removed=frozenset(removed.scalars()),
                groups_changed=groups_at > revision,
                bans_changed=bans_at > revision,
                throttles_changed=throttles_at > revision,
            )

    async def decoy_key(self) -> bytes:
        """A secret of this store."""
        async with self.reading() as connection:
            return bytes.fromhex((await connection.execute(select(REVISION.c.decoy_key))).scalar_one())

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        async with self.reading() as connection:
            asked = select(IDENTITY.c.name).where(IDENTITY.c.name > after).order_by(IDENTITY.c.name).limit(limit)
            names = (await connection.execute(asked)).scalars().all()
            if not names:
                return []
            return await queries.identities(connection, lambda name: (name > after) & (name <= names[-1]))

    async def in_order(self, order: Order, behind: Place | None = None, limit: int = 100) -> Sequence[Identity]:
        """Identities in this order, beginning behind a place in it, or with the first."""
        columns = (IDENTITY.c.name,) if order.is_by_name else (IDENTITY.c.created_at, IDENTITY.c.name)
        asked = select(IDENTITY.c.name).order_by(*(each.desc() if order.is_down else each for each in columns))
        if behind is not None:
            here, there = tuple_(*columns), tuple_(*behind)
            asked = asked.where(here < there if order.is_down else here > there)
        async with self.reading() as connection:
            names = (await connection.execute(asked.limit(limit))).scalars().all()
            found: dict[str, Identity] = {}
            for part in queries.parts(names):
                page = await queries.identities(connection, lambda name, part=part: name.in_(part))
                found.update((str(one.name), one) for one in page)
            return [found[name] for name in names]

    async def revoked_certificates(self) -> Sequence[CertificateCredential]:
        """Every certificate on record that was revoked."""
        revoked = (CREDENTIAL.c.kind == "certificate") & CREDENTIAL.c.revoked_at.is_not(None)
        asked = select(CREDENTIAL).where(revoked).order_by(CREDENTIAL.c.identity, CREDENTIAL.c.created_at)
        async with self.reading() as connection:
            found = [rows.credential_of(row) for row in (await connection.execute(asked)).mappings()]
        return [item for item in found if isinstance(item, CertificateCredential)]

    async def groups(self) -> Sequence[Group]:
        """Every group, in order of name."""
        async with self.reading() as connection:
            return await queries.groups(connection)

    async def bans(self) -> Sequence[Ban]:
        """Every ban, the oldest first."""
        async with self.reading() as connection:
            found = (await connection.execute(select(BAN).order_by(BAN.c.created_at, BAN.c.id))).mappings()
            return [rows.ban_of(row) for row in found]

    async def throttles(self) -> Sequence[Throttle]:
        """Every throttle, in order of identity."""
        async with self.reading() as connection:
            found = (await connection.execute(select(THROTTLE).order_by(THROTTLE.c.identity))).mappings()
            return [rows.throttle_of(row) for row in found]

    async def commit(self, changes: Sequence[Change], told: Told | None = None) -> int:
        """All changes or none, durable when this returns."""
        async with self.writing() as connection:
            writer = await Writer.begin(connection)
            await writer.apply(changes, told)
            await self.announce(connection)
            return writer.revision

    async def note_usage(self, usages: Sequence[Usage]) -> None:
        """Keeps the last use of each credential."""
        if not usages:
            return
        async with self.writing() as connection:
            stored = await queries.names_in(connection, IDENTITY, {str(usage.name) for usage in usages})
            kept = [rows.usage_row(usage) for usage in usages if usage.name in stored]
            if kept:
                await connection.execute(_KEEP_USAGE, kept)

    async def usage(self, names: Collection[str] | None = None) -> Sequence[Usage]:
        """What is kept, by name, the newest first."""
        asked = select(USAGE).order_by(USAGE.c.identity, USAGE.c.last_seen_ms.desc())
        async with self.reading() as connection:
            if names is None:
                return [rows.usage_of(row) for row in (await connection.execute(asked)).mappings()]
            found: list[Usage] = []
            for part in queries.parts(queries.askable(names)):
                those = asked.where(USAGE.c.identity.in_(part))
                found += [rows.usage_of(row) for row in (await connection.execute(those)).mappings()]
            return found

    async def dispose(self) -> None:
        """Closes every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the store."""
        try:
            async with self.snapshot() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise unavailable(error) from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write."""
        try:
            async with self.exclusive() as connection:
                yield connection
        except IntegrityError as error:
            raise Conflict("the change contradicts what is stored") from error
        except (SQLAlchemyError, OSError) as error:
            raise unavailable(error) from error

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """The adapter's transaction for reading."""

    @abstractmethod
    def exclusive(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """The adapter's transaction for writing."""

    @abstractmethod
    async def announce(self, connection: AsyncConnection) -> None:
        """Tells other processes, where the database can, that this transaction changes something."""


def unavailable(error: Exception) -> StoreUnavailable:
    """An error of the database in our words."""
    cause = getattr(error, "orig", None) or error
    return StoreUnavailable(f"the identity store cannot be used: {cause}")
