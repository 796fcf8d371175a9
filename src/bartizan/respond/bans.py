"""Something is banned, or is no more: written first, then in force, then told, with the connections that it cut."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bartizan.errors import NotFound
from bartizan.model.ban import ID_CHARS, Ban
from bartizan.model.ending import CutConnection
from bartizan.respond.live import Live
from bartizan.store.ports import IdentityStore, PutBan, RemoveBan


@dataclass(frozen=True, slots=True)
class Banned:
    """What a ban did, or its end."""

    ban: Ban
    is_in_force: bool
    """False where no broker runs: the next one that starts goes by it."""
    cut: tuple[CutConnection, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        cut = [
            {
                "identity": one.identity,
                "client_id": one.client_id,
                "tenant": one.tenant,
                "address": one.address,
                "why": one.why,
            }
            for one in self.cut
        ]
        return {**self.ban.as_dict(), "is_in_force": self.is_in_force, "cut": cut}


class Bans:
    """The bans of one store; `live` is the broker that runs on it, if one does."""

    def __init__(self, store: IdentityStore, live: Live | None) -> None:
        self._store = store
        self._live = live

    async def every(self, at: datetime) -> list[Ban]:
        """Those that hold, the oldest first."""
        return [ban for ban in await self._store.bans() if ban.holds(at)]

    async def get(self, id_: str, at: datetime) -> Ban:
        """One that holds; `NotFound` for none."""
        found = next((ban for ban in await self.every(at) if ban.id == id_), None)
        if found is None:
            raise NotFound(f"there is no ban {id_[:ID_CHARS]!r}: `bartizan ban list` shows them")
        return found

    async def add(self, ban: Ban) -> Banned:
        """Whoever meets it is cut, and let in no more. What was banned already is banned as this says."""
        return await self._do(ban, PutBan(ban))

    async def remove(self, id_: str, at: datetime) -> Banned:
        """Ends it: who met it may connect again. `NotFound` for none."""
        return await self._do(await self.get(id_, at), RemoveBan(id_))

    async def _do(self, ban: Ban, change: PutBan | RemoveBan) -> Banned:
        async def write() -> None:
            await self._store.commit([change])

        if self._live is None:
            await write()
            return Banned(ban, is_in_force=False)
        ended = await self._live.change(write)
        return Banned(ban, is_in_force=True, cut=ended.cut)
