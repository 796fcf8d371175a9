"""User name and password. A guess costs the same time whether or not the name exists."""

import asyncio
from concurrent.futures import Executor

from bartizan.authn.base import ConnectRequest, Denied, Proof
from bartizan.identity.passwords import hash_password, verify_password
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

VERIFICATIONS_MAX = 2
"""Hashes computed at once: each takes 19 MiB and one processor for tens of milliseconds."""

WAITING_MAX = 256
"""CONNECTs waiting for their turn; further ones get 0x89 Server busy and may come again."""


class PasswordAuthenticator:
    """Checks passwords against the identity store, in threads of `executor` (None: the loop's).

    One that was found good is remembered for `remembered_s` seconds: see `Proof`.
    """

    method: None = None

    def __init__(self, directory: IdentityDirectory, executor: Executor | None = None, remembered_s: int = 0) -> None:
        self._directory = directory
        self._remembered_s = remembered_s
        self._executor = executor
        self._turn = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._waiting = 0
        # Verified against when there is no such identity, so that timing tells nothing.
        self._decoy = hash_password("no identity has this password")

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof, or `Denied` 0x86; the two kinds of wrong look alike."""
        if request.user_name is None or request.password is None:
            return None
        identity = await self._directory.get(request.user_name)
        credential = await self._matching(identity, request.password)
        if identity is None or credential is None:
            why = "wrong password" if identity is not None else "no such identity"
            raise Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, why)
        if identity.state is not IdentityState.ENABLED:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the identity is disabled")
        if credential.must_change:
            raise Denied(
                ReasonCode.NOT_AUTHORIZED,
                f"a one-time secret: set a password first (bartizan passwd {identity.name})",
            )
        return Proof(identity.principal("password"), remembered_s=self._remembered_s)

    async def _matching(self, identity: Identity | None, password: bytes) -> PasswordCredential | None:
        stored = [item for item in identity.credentials if isinstance(item, PasswordCredential)] if identity else []
        if not stored:
            await self._verify(self._decoy, password)
        for credential in stored:
            if await self._verify(credential.hash, password):
                return credential
        return None

    async def _verify(self, stored: str, password: bytes) -> bool:
        if self._waiting >= WAITING_MAX:
            raise Denied(ReasonCode.SERVER_BUSY, "too many passwords wait to be checked")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.get_running_loop().run_in_executor(
                    self._executor, verify_password, stored, password
                )
        finally:
            self._waiting -= 1
