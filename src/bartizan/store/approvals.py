"""What waits for a second operator, in memory, and in a table for SQLite and PostgreSQL: the third part of `OperatorStore`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.model.approval import KeptRequest
from bartizan.store import operator_rows as rows
from bartizan.store.queries import askable
from bartizan.store.tables import APPROVAL


class MemoryApprovals:
    """Requests on a dict."""

    def __init__(self) -> None:
        self._approvals: dict[str, KeptRequest] = {}

    async def approvals(self) -> Sequence[KeptRequest]:
        """Every request, the oldest first."""
        return sorted(self._approvals.values(), key=lambda one: (one.asked_at, one.id))

    async def add_approval(self, request: KeptRequest) -> None:
        """Adds one."""
        self._approvals[request.id] = request

    async def remove_approval(self, id_: str) -> bool:
        """Removes one; whether it was there."""
        return self._approvals.pop(id_, None) is not None


class SqlApprovals(ABC):
    """Requests in a table."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that sees one state of the store."""

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may write."""

    async def approvals(self) -> Sequence[KeptRequest]:
        """Every request, the oldest first."""
        asked = select(APPROVAL).order_by(APPROVAL.c.asked_at, APPROVAL.c.id)
        async with self.reading() as connection:
            return [rows.approval_of(row) for row in (await connection.execute(asked)).mappings()]

    async def add_approval(self, request: KeptRequest) -> None:
        """Adds one."""
        async with self.writing() as connection:
            await connection.execute(insert(APPROVAL).values(**rows.approval_row(request)))

    async def remove_approval(self, id_: str) -> bool:
        """Removes one; whether it was there."""
        async with self.writing() as connection:
            removed = await connection.execute(delete(APPROVAL).where(APPROVAL.c.id.in_(askable([id_]))))
            return removed.rowcount == 1
