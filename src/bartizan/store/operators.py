"""Operators in memory, and in tables for SQLite and PostgreSQL: `OperatorStore` for each adapter."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.operator import Operator
from bartizan.store import operator_rows as rows
from bartizan.store.approvals import MemoryApprovals, SqlApprovals
from bartizan.store.operator_rows import Row
from bartizan.store.operator_tokens import MemoryTokens, SqlTokens
from bartizan.store.queries import askable
from bartizan.store.tables import OPERATOR, OPERATOR_PASSKEY, OPERATOR_RECOVERY


class MemoryOperators(MemoryTokens, MemoryApprovals):
    """`OperatorStore` on a dict."""

    def __init__(self) -> None:
        MemoryTokens.__init__(self)
        MemoryApprovals.__init__(self)
        self._operators: dict[str, Operator] = {}

    def has_operator(self, name: str) -> bool:
        """Whether there is such an operator."""
        return name in self._operators

    async def operators(self) -> Sequence[Operator]:
        """Every operator, in order of name."""
        return [self._operators[name] for name in sorted(self._operators)]

    async def operator(self, name: str) -> Operator | None:
        """The operator of exactly this name."""
        return self._operators.get(name)

    async def add_operator(self, operator: Operator) -> Operator:
        """Adds one."""
        if operator.name in self._operators:
            raise _taken(operator.name)
        return self._keep(replace(operator, revision=1))

    async def replace_operator(self, operator: Operator) -> Operator:
        """Writes one that was read at its revision."""
        before = self._operators.get(operator.name)
        if before is None:
            raise _missing(operator.name)
        if before.revision != operator.revision:
            raise _changed(operator.name)
        return self._keep(replace(operator, revision=operator.revision + 1))

    async def remove_operator(self, name: str) -> None:
        """Removes one."""
        if self._operators.pop(name, None) is None:
            raise _missing(name)
        self.forget_tokens(name)

    def _keep(self, operator: Operator) -> Operator:
        self._operators[operator.name] = operator
        return operator


class SqlOperators(SqlTokens, SqlApprovals):
    """`OperatorStore` on tables."""

    async def operators(self) -> Sequence[Operator]:
        """Every operator, in order of name."""
        async with self.reading() as connection:
            return await _read(connection, None)

    async def operator(self, name: str) -> Operator | None:
        """The operator of exactly this name."""
        if not askable([name]):
            return None
        async with self.reading() as connection:
            return next(iter(await _read(connection, name)), None)

    async def add_operator(self, operator: Operator) -> Operator:
        """Adds one."""
        made = replace(operator, revision=1)
        async with self.writing() as connection:
            if await _read(connection, operator.name):
                raise _taken(operator.name)
            await connection.execute(insert(OPERATOR).values(**rows.operator_row(made)))
            await _write_owned(connection, made)
        return made

    async def replace_operator(self, operator: Operator) -> Operator:
        """Writes one that was read at its revision."""
        name, made = str(operator.name), replace(operator, revision=operator.revision + 1)
        async with self.writing() as connection:
            # Of two that read the same revision, the second finds it gone when it gets the row.
            at_revision = (OPERATOR.c.name == name) & (OPERATOR.c.revision == operator.revision)
            written = await connection.execute(update(OPERATOR).where(at_revision).values(**rows.operator_row(made)))
            if written.rowcount != 1:
                raise _changed(name) if await _read(connection, name) else _missing(name)
            for table in (OPERATOR_PASSKEY, OPERATOR_RECOVERY):
                await connection.execute(delete(table).where(table.c.operator == name))
            await _write_owned(connection, made)
        return made

    async def remove_operator(self, name: str) -> None:
        """Removes one."""
        async with self.writing() as connection:
            removed = await connection.execute(delete(OPERATOR).where(OPERATOR.c.name.in_(askable([name]))))
            if removed.rowcount != 1:
                raise _missing(name)


async def _read(connection: AsyncConnection, name: str | None) -> list[Operator]:
    asked = select(OPERATOR).order_by(OPERATOR.c.name)
    if name is not None:
        asked = asked.where(OPERATOR.c.name == str(name))
    found = (await connection.execute(asked)).mappings().all()
    passkeys = await _owned(connection, OPERATOR_PASSKEY, name)
    codes = await _owned(connection, OPERATOR_RECOVERY, name)
    return [rows.operator_of(row, passkeys[row["name"]], codes[row["name"]]) for row in found]


async def _owned(connection: AsyncConnection, table: Table, name: str | None) -> dict[str, list[Row]]:
    asked = select(table).order_by(table.c.operator, table.c.position)
    if name is not None:
        asked = asked.where(table.c.operator == str(name))
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in (await connection.execute(asked)).mappings():
        grouped[row["operator"]].append(row)
    return grouped


async def _write_owned(connection: AsyncConnection, operator: Operator) -> None:
    if passkeys := rows.passkey_rows(operator):
        await connection.execute(insert(OPERATOR_PASSKEY), passkeys)
    if codes := rows.recovery_rows(operator):
        await connection.execute(insert(OPERATOR_RECOVERY), codes)


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"an operator {str(name)!r} exists already")


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no operator {str(name)!r}")


def _changed(name: str) -> Conflict:
    return Conflict(f"operator {str(name)!r} was changed in between")
