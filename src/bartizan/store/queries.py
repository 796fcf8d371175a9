"""Reads of whole identities and groups, the same for SQLite and PostgreSQL."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Column, ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.model.group import Group
from bartizan.model.principal import Identity
from bartizan.store import rows
from bartizan.store.tables import ATTRIBUTE, CREDENTIAL, GROUP, GROUP_ROLE, IDENTITY, MEMBER, ROLE

T = TypeVar("T")
Condition = Callable[[Column[str]], ColumnElement[bool]]
"""Which names are meant: a condition on the column that holds them."""

NAMES_PER_QUERY = 500
"""Both databases bound the parameters of a statement."""

_OWNED = (
    (ROLE, ROLE.c.position),
    (ATTRIBUTE, ATTRIBUTE.c.attribute),
    (CREDENTIAL, CREDENTIAL.c.created_at),
    (MEMBER, MEMBER.c.position),
)


def parts(items: Sequence[T], size: int = NAMES_PER_QUERY) -> Iterator[Sequence[T]]:
    """The items in runs of at most `size`."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def askable(names: Collection[str]) -> list[str]:
    """Without what no database can be asked for: PostgreSQL has no NUL, neither has lone surrogates."""
    return sorted(name for name in names if "\0" not in name and name == name.encode(errors="ignore").decode())


async def names_in(connection: AsyncConnection, table: Table, names: Collection[str]) -> set[str]:
    """Those of `names` that the table has."""
    found: set[str] = set()
    for part in parts(askable(names)):
        found.update((await connection.execute(select(table.c.name).where(table.c.name.in_(part)))).scalars())
    return found


async def identities(connection: AsyncConnection, condition: Condition) -> list[Identity]:
    """Whole identities, in order of name."""
    asked = select(IDENTITY).where(condition(IDENTITY.c.name)).order_by(IDENTITY.c.name)
    found = (await connection.execute(asked)).mappings().all()
    roles, attributes, credentials, members = [
        await _grouped(connection, table, table.c.identity, order, condition) for table, order in _OWNED
    ]
    return [
        rows.identity_of(row, roles[name], attributes[name], credentials[name], members[name])
        for row in found
        for name in (row["name"],)
    ]


async def groups(connection: AsyncConnection) -> list[Group]:
    """Every group, in order of name."""
    found = (await connection.execute(select(GROUP).order_by(GROUP.c.name))).mappings().all()
    roles = await _grouped(connection, GROUP_ROLE, GROUP_ROLE.c.group_name, GROUP_ROLE.c.position)
    return [rows.group_of(row, roles[row["name"]]) for row in found]


async def _grouped(
    connection: AsyncConnection,
    table: Table,
    owner: Column[str],
    order: Column[object],
    condition: Condition | None = None,
) -> dict[str, list[rows.Row]]:
    asked = select(table).order_by(owner, order)
    if condition is not None:
        asked = asked.where(condition(owner))
    grouped: dict[str, list[rows.Row]] = defaultdict(list)
    for row in (await connection.execute(asked)).mappings():
        grouped[row[owner.name]].append(row)
    return grouped
