"""Passwords hashed anew at a login -> the identity store: together, every few seconds, and only over the old hash."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from bartizan.errors import Conflict, NotFound
from bartizan.model.credential import Credential, PasswordCredential
from bartizan.model.principal import Identity
from bartizan.store.ports import IdentityStore, Replace

HASHES_INTERVAL_S = 2.0
"""Each write is a revision, which every broker of the store looks at: thousands of first logins are a few of them."""

WAITING_MAX = 10_000
"""Hashes that wait to be written; beyond it the next login hashes anew."""


class _Renewed(NamedTuple):
    stored: str
    renewed: str


class HashWriter:
    """`HashKeeper` on an identity store. A password that was changed meanwhile stays as it is.

    `about_to_write` is told of each identity before that is written: nothing has changed but how a password is kept.
    """

    def __init__(
        self, store: IdentityStore, about_to_write: Callable[[Identity], None] = lambda _identity: None
    ) -> None:
        self._store = store
        self._about_to_write = about_to_write
        self._waiting: dict[tuple[str, str], _Renewed] = {}

    def rehashed(self, identity: str, credential_id: str, stored: str, renewed: str) -> None:
        """See `HashKeeper`."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting[identity, credential_id] = _Renewed(stored, renewed)

    async def write(self) -> None:
        """Writes what waits; raises `StoreUnavailable`, and then has it wait again."""
        waiting = self._waiting
        self._waiting = {}
        try:
            changes = [
                change for name in {name for name, _ in waiting} if (change := await self._change(name, waiting))
            ]
            try:
                if changes:
                    await self._store.commit(changes)
            except (Conflict, NotFound):
                # Somebody wrote one of them in between: that one waits for its next login.
                await self._one_by_one(changes)
        except BaseException:
            self._waiting = waiting | self._waiting
            raise

    async def _change(self, name: str, waiting: dict[tuple[str, str], _Renewed]) -> Replace | None:
        identity = await self._store.get(name)
        renewed = None if identity is None else _with(identity, waiting)
        if renewed is None or renewed == identity:
            return None
        self._about_to_write(renewed)
        return Replace(renewed)

    async def _one_by_one(self, changes: list[Replace]) -> None:
        for change in changes:
            try:
                await self._store.commit([change])
            except (Conflict, NotFound):
                continue


def _with(identity: Identity, waiting: dict[tuple[str, str], _Renewed]) -> Identity:
    credentials: list[Credential] = []
    for item in identity.credentials:
        found = waiting.get((identity.name, item.id))
        if isinstance(item, PasswordCredential) and found is not None and item.hash == found.stored:
            credentials.append(replace(item, hash=found.renewed))
        else:
            credentials.append(item)
    return replace(identity, credentials=tuple(credentials))
