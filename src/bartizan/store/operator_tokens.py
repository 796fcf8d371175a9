"""Tokens of operators in memory, and in a table for SQLite and PostgreSQL: the second half of `OperatorStore`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.errors import NotFound
from bartizan.model.operator import ApiToken
from bartizan.store import operator_rows as rows
from bartizan.store.queries import askable
from bartizan.store.tables import OPERATOR, OPERATOR_TOKEN


class MemoryTokens(ABC):
    """Tokens on a dict."""

    def __init__(self) -> None:
        self._tokens: dict[str, ApiToken] = {}

    @abstractmethod
    def has_operator(self, name: str) -> bool:
        """Whether there is such an operator."""

    async def tokens(self, operator: str) -> Sequence[ApiToken]:
        """The tokens of an operator, the oldest first."""
        return sorted((one for one in self._tokens.values() if one.operator == operator), key=_made)

    async def token_of(self, hash_: str) -> ApiToken | None:
        """The token whose secret has this hash."""
        return next((one for one in self._tokens.values() if one.hash == hash_), None)

    async def add_token(self, token: ApiToken) -> None:
        """Adds one."""
        if not self.has_operator(token.operator):
            raise _nobody(token.operator)
        self._tokens[token.id] = token

    async def remove_token(self, operator: str, id_: str) -> None:
        """Removes one."""
        token = self._tokens.get(id_)
        if token is None or token.operator != operator:
            raise _missing(operator, id_)
        del self._tokens[id_]

    async def note_token_use(self, id_: str, at: datetime) -> None:
        """Keeps when it was used last."""
        if id_ in self._tokens:
            self._tokens[id_] = replace(self._tokens[id_], last_used_at=at)

    def forget_tokens(self, operator: str) -> None:
        """Its operator is removed."""
        self._tokens = {id_: one for id_, one in self._tokens.items() if one.operator != operator}


class SqlTokens(ABC):
    """Tokens on a table; those of an operator that is removed go with it."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that sees one state of the store."""

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may write."""

    async def tokens(self, operator: str) -> Sequence[ApiToken]:
        """The tokens of an operator, the oldest first."""
        asked = select(OPERATOR_TOKEN).where(OPERATOR_TOKEN.c.operator.in_(askable([operator])))
        async with self.reading() as connection:
            found = (await connection.execute(asked)).mappings().all()
        return sorted(map(rows.token_of, found), key=_made)

    async def token_of(self, hash_: str) -> ApiToken | None:
        """The token whose secret has this hash."""
        async with self.reading() as connection:
            asked = select(OPERATOR_TOKEN).where(OPERATOR_TOKEN.c.hash == hash_)
            row = (await connection.execute(asked)).mappings().one_or_none()
        return None if row is None else rows.token_of(row)

    async def add_token(self, token: ApiToken) -> None:
        """Adds one."""
        async with self.writing() as connection:
            there = select(OPERATOR.c.name).where(OPERATOR.c.name == str(token.operator))
            if (await connection.execute(there)).first() is None:
                raise _nobody(token.operator)
            await connection.execute(insert(OPERATOR_TOKEN).values(**rows.token_row(token)))

    async def remove_token(self, operator: str, id_: str) -> None:
        """Removes one."""
        its = OPERATOR_TOKEN.c.operator.in_(askable([operator])) & OPERATOR_TOKEN.c.id.in_(askable([id_]))
        async with self.writing() as connection:
            if (await connection.execute(delete(OPERATOR_TOKEN).where(its))).rowcount != 1:
                raise _missing(operator, id_)

    async def note_token_use(self, id_: str, at: datetime) -> None:
        """Keeps when it was used last."""
        used = update(OPERATOR_TOKEN).where(OPERATOR_TOKEN.c.id == id_).values(last_used_at=rows.time_of(at))
        async with self.writing() as connection:
            await connection.execute(used)


def _made(token: ApiToken) -> tuple[datetime, str]:
    return token.created_at, token.id


def _nobody(name: str) -> NotFound:
    return NotFound(f"there is no operator {str(name)!r}")


def _missing(operator: str, id_: str) -> NotFound:
    return NotFound(f"operator {str(operator)!r} has no token {str(id_)!r}")
