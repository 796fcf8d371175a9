"""One transaction's changes, in the order they came, many identities at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from sqlalchemy import Table, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.ban import BANS_MAX, Ban
from bartizan.model.principal import Identity
from bartizan.model.throttle import THROTTLES_MAX, Throttle
from bartizan.store import rows
from bartizan.store.ports import (
    Change,
    Create,
    CreateGroup,
    PutBan,
    PutThrottle,
    Remove,
    RemoveBan,
    RemoveGroup,
    RemoveThrottle,
    Replace,
    ReplaceGroup,
    Told,
)
from bartizan.store.queries import NAMES_PER_QUERY, askable, names_in
from bartizan.store.tables import (
    ATTRIBUTE,
    BAN,
    CREDENTIAL,
    GROUP,
    GROUP_ROLE,
    IDENTITY,
    MEMBER,
    REMOVED,
    REVISION,
    ROLE,
    THROTTLE,
)

_OWNED: tuple[tuple[Table, Callable[[Identity], list[rows.Row]]], ...] = (
    (ROLE, rows.role_rows),
    (ATTRIBUTE, rows.attribute_rows),
    (CREDENTIAL, rows.credential_rows),
    (MEMBER, rows.member_rows),
)


class Writer:
    """Applies changes on a connection that holds the write lock."""

    def __init__(self, connection: AsyncConnection, revision: int, groups: set[str]) -> None:
        self._connection = connection
        self.revision = revision
        self._groups = groups
        """The names of all groups, for a refusal that says which one is missing."""

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> Self:
        """Raises the revision: first of all, so that this transaction holds the lock before it reads."""
        await connection.execute(update(REVISION).values(value=REVISION.c.value + 1))
        revision: int = (await connection.execute(select(REVISION.c.value))).scalar_one()
        return cls(connection, revision, set((await connection.execute(select(GROUP.c.name))).scalars()))

    async def apply(self, changes: Sequence[Change], told: Told | None) -> None:
        """All of them."""
        done = 0
        for run in _runs(changes):
            first = run[0]
            match first:
                case Remove():
                    await self._remove(first)
                case CreateGroup() | ReplaceGroup():
                    await self._write_group(first)
                case RemoveGroup():
                    await self._remove_group(first)
                case PutBan() | RemoveBan():
                    await self._write_ban(first)
                case PutThrottle() | RemoveThrottle():
                    await self._write_throttle(first)
                case Create() | Replace():
                    await self._write([change for change in run if isinstance(change, Create | Replace)])
            done += len(run)
            if told is not None:
                told(done)

    async def _write(self, run: Sequence[Create | Replace]) -> None:
        names = [str(change.identity.name) for change in run]
        asked = select(IDENTITY.c.name, IDENTITY.c.revision).where(IDENTITY.c.name.in_(names))
        before: dict[str, int] = {row.name: row.revision for row in await self._connection.execute(asked)}
        for change in run:
            self._check(change, before.get(change.identity.name))
        identities = [change.identity for change in run]
        made = [rows.identity_row(change.identity, self.revision) for change in run if isinstance(change, Create)]
        if made:
            await self._connection.execute(delete(REMOVED).where(REMOVED.c.name.in_(names)))
            await self._connection.execute(insert(IDENTITY), made)
        if before:
            written = [
                {"key": row["name"], **row}
                for row in (rows.identity_row(one, self.revision) for one in identities)
                if row["name"] in before
            ]
            await self._connection.execute(update(IDENTITY).where(IDENTITY.c.name == bindparam("key")), written)
        for table, to_rows in _OWNED:
            if before:
                await self._connection.execute(delete(table).where(table.c.identity.in_(list(before))))
            if owned := [row for identity in identities for row in to_rows(identity)]:
                await self._connection.execute(insert(table), owned)

    def _check(self, change: Create | Replace, before: int | None) -> None:
        identity = change.identity
        if isinstance(change, Create):
            if before is not None:
                raise AlreadyExists(f"an identity {identity.name!r} exists already")
        elif before is None:
            raise NotFound(f"there is no identity {identity.name!r}")
        elif before != identity.revision:
            raise Conflict(f"identity {identity.name!r} was changed in between")
        for group in identity.groups:
            if group not in self._groups:
                raise NotFound(f"there is no group {group!r}")

    async def _remove(self, change: Remove) -> None:
        if not await names_in(self._connection, IDENTITY, [change.name]):
            raise NotFound(f"there is no identity {change.name!r}")
        await self._connection.execute(delete(IDENTITY).where(IDENTITY.c.name == str(change.name)))
        await self._connection.execute(insert(REMOVED).values(name=str(change.name), revision=self.revision))

    async def _write_group(self, change: CreateGroup | ReplaceGroup) -> None:
        group, name = change.group, str(change.group.name)
        asked = select(GROUP.c.revision).where(GROUP.c.name == name)
        before = (await self._connection.execute(asked)).scalar_one_or_none()
        row = rows.group_row(group, self.revision)
        if isinstance(change, CreateGroup):
            if before is not None:
                raise AlreadyExists(f"a group {name!r} exists already")
            await self._connection.execute(insert(GROUP).values(**row))
            self._groups.add(name)
        else:
            if before is None:
                raise NotFound(f"there is no group {name!r}")
            if before != group.revision:
                raise Conflict(f"group {name!r} was changed in between")
            await self._connection.execute(update(GROUP).where(GROUP.c.name == name).values(**row))
            await self._connection.execute(delete(GROUP_ROLE).where(GROUP_ROLE.c.group_name == name))
        if roles := rows.group_role_rows(group):
            await self._connection.execute(insert(GROUP_ROLE), roles)
        await self._groups_changed()

    async def _remove_group(self, change: RemoveGroup) -> None:
        name = str(change.name)
        if name not in self._groups:
            raise NotFound(f"there is no group {name!r}")
        if (await self._connection.execute(select(exists().where(MEMBER.c.group_name == name)))).scalar_one():
            raise Conflict(f"identities are in group {name!r}")
        await self._connection.execute(delete(GROUP).where(GROUP.c.name == name))
        self._groups.discard(name)
        await self._groups_changed()

    async def _write_ban(self, change: PutBan | RemoveBan) -> None:
        await (self._put_ban(change.ban) if isinstance(change, PutBan) else self._remove_ban(change))
        await self._connection.execute(update(REVISION).values(bans_value=self.revision))

    async def _write_throttle(self, change: PutThrottle | RemoveThrottle) -> None:
        await (
            self._put_throttle(change.throttle) if isinstance(change, PutThrottle) else self._remove_throttle(change)
        )
        await self._connection.execute(update(REVISION).values(throttles_value=self.revision))

    async def _put_ban(self, ban: Ban) -> None:
        row = rows.ban_row(ban)
        over = BAN.c.until.is_not(None) & (BAN.c.until <= row["created_at"])
        await self._connection.execute(delete(BAN).where(over | (BAN.c.id == ban.id)))
        if (await self._connection.execute(select(func.count()).select_from(BAN))).scalar_one() >= BANS_MAX:
            raise Conflict(f"there are {BANS_MAX} bans already: remove some, or ban a prefix")
        await self._connection.execute(insert(BAN).values(**row))

    async def _remove_ban(self, change: RemoveBan) -> None:
        removed = await self._connection.execute(delete(BAN).where(BAN.c.id.in_(askable([change.id]))))
        if removed.rowcount != 1:
            raise NotFound(f"there is no ban {change.id!r}")

    async def _put_throttle(self, throttle: Throttle) -> None:
        await self._connection.execute(delete(THROTTLE).where(THROTTLE.c.identity == throttle.identity))
        if (await self._connection.execute(select(func.count()).select_from(THROTTLE))).scalar_one() >= THROTTLES_MAX:
            raise Conflict(f"{THROTTLES_MAX} identities are throttled already")
        await self._connection.execute(insert(THROTTLE).values(**rows.throttle_row(throttle)))

    async def _remove_throttle(self, change: RemoveThrottle) -> None:
        its = THROTTLE.c.identity.in_(askable([change.identity]))
        if (await self._connection.execute(delete(THROTTLE).where(its))).rowcount != 1:
            raise NotFound(f"{change.identity!r} is not throttled")

    async def _groups_changed(self) -> None:
        await self._connection.execute(update(REVISION).values(groups_value=self.revision))


def _runs(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Neighbours that can be written together: identities, each name once. Everything else by itself."""
    run: list[Change] = []
    names: set[str] = set()
    for change in changes:
        name = str(change.identity.name) if isinstance(change, Create | Replace) else None
        if run and (name is None or name in names or len(run) == NAMES_PER_QUERY):
            yield run
            run = []
            names.clear()
        run.append(change)
        if name is None:
            yield run
            run = []
        else:
            names.add(name)
    if run:
        yield run
