"""User name and password. A refusal costs the same hashes whether or not the name exists.

The hashes of a refusal are the dearest of each kind that any identity has had so far in this process: who has two
passwords, or one from another broker, is not told apart by time from who does not exist.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from bartizan.authn.base import ConnectRequest, Denied, Proof
from bartizan.identity import hashes
from bartizan.identity.passwords import PASSWORD_BYTES_MAX, hash_password
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Factor, Identity
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

T = TypeVar("T")

VERIFICATIONS_MAX = 2
"""Hashes computed at once: each takes 19 MiB and one processor for tens of milliseconds."""

WAITING_MAX = 256
"""CONNECTs waiting for their turn; further ones get 0x89 Server busy and may come again."""

SHAPES_MAX = 16
"""Kinds of hashes that a refusal is made to look like; more than these no sane store holds."""

PASSWORDS_MAX = 4
"""Live passwords of one identity that a refusal is made to look like."""


class HashKeeper(Protocol):
    """Takes over a hash made anew. Quick: what it has to write, it writes later."""

    def rehashed(self, identity: str, credential_id: str, stored: str, renewed: str) -> None:
        """`renewed` is of the same password as `stored`, which may have been replaced meanwhile: then do nothing."""
        ...


class PasswordAuthenticator:
    """Checks passwords against the identity store, in threads of `executor` (None: the loop's).

    One that was found good is remembered for `remembered_s` seconds: see `Proof`. Hashes of other brokers are
    made anew and given to `keeper`.
    """

    name = "password"
    method: None = None
    takes_passwords = True

    def __init__(
        self,
        directory: IdentityDirectory,
        executor: Executor | None = None,
        remembered_s: int = 0,
        keeper: HashKeeper | None = None,
    ) -> None:
        self._directory = directory
        self._remembered_s = remembered_s
        self._executor = executor
        self._keeper = keeper
        self._turn = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._waiting = 0
        # Without any identity a refusal costs one of our own.
        self._dearest: Counter[str] = Counter({hashes.our_shape(): 1})

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof, or `Denied` 0x86; the two kinds of wrong look alike."""
        if request.user_name is None or request.password is None:
            return None
        identity = await self._directory.get(request.user_name)
        credential = await self._matching(identity, request.password)
        if identity is None or credential is None:
            why = "wrong password" if identity is not None else "no such identity"
            raise Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, why)
        if refusal := identity.refusal(datetime.now(UTC)):
            raise Denied(ReasonCode.NOT_AUTHORIZED, refusal)
        if credential.must_change:
            raise Denied(
                ReasonCode.NOT_AUTHORIZED,
                f"a one-time secret: set a password first (bartizan passwd {identity.name})",
            )
        if self._keeper is not None and not hashes.is_ours(credential.hash):
            renewed = await self._work(lambda: hash_password(request.password or b""))
            self._keeper.rehashed(identity.name, credential.id, credential.hash, renewed)
        principal = identity.principal("password", factor=Factor.PASSWORD, credential=credential)
        return Proof(principal, expires_at=credential.expires_at, remembered_s=self._remembered_s)

    async def _matching(self, identity: Identity | None, password: bytes) -> PasswordCredential | None:
        at = datetime.now(UTC)
        of_it = identity.credentials if identity else ()
        stored = [item for item in of_it if isinstance(item, PasswordCredential) and item.is_live(at)]
        spent: Counter[str] = Counter()
        for credential in stored:
            spent[hashes.shape(credential.hash) or ""] += 1
            if await self._verify(credential.hash, password):
                return credential
        for decoy in self._decoys(spent):
            await self._verify(decoy, password)
        return None

    def _decoys(self, spent: Counter[str]) -> list[str]:
        """What a refusal has to cost beside what was spent already."""
        for shape, count in spent.items():
            if shape and (shape in self._dearest or len(self._dearest) < SHAPES_MAX):
                self._dearest[shape] = max(self._dearest[shape], min(count, PASSWORDS_MAX))
        owed = self._dearest - spent
        return [hashes.decoy(shape) for shape in owed.elements()]

    async def _verify(self, stored: str, password: bytes) -> bool:
        if len(password) > PASSWORD_BYTES_MAX:
            return False
        return await self._work(lambda: hashes.verify(stored, password))

    async def _work(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Denied(ReasonCode.SERVER_BUSY, "too many passwords wait to be checked")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1
