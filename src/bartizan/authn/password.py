"""User name and password. A refusal costs the same hashes whether or not the name exists (`verification`)."""

from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Protocol

from bartizan.authn.base import ConnectRequest, Denied, Proof
from bartizan.authn.verification import Verification
from bartizan.identity import hashes
from bartizan.identity.passwords import hash_password
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Factor, Identity
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory


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
        self._keeper = keeper
        self._verification = Verification(executor)

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof, or `Denied` 0x86; the two kinds of wrong look alike."""
        if request.user_name is None or request.password is None:
            return None
        identity = await self._directory.held(request.user_name)
        credential = await self._matching(identity, request.password)
        if credential is None and (changed := await self._directory.renewed(request.user_name, identity)):
            identity, credential = changed, await self._matching(changed, request.password)
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
            renewed = await self._verification.work(lambda: hash_password(request.password or b""))
            self._keeper.rehashed(identity.name, credential.id, credential.hash, renewed)
        principal = identity.principal("password", factor=Factor.PASSWORD, credential=credential)
        return Proof(principal, expires_at=credential.expires_at, remembered_s=self._remembered_s)

    async def _matching(self, identity: Identity | None, password: bytes) -> PasswordCredential | None:
        at = datetime.now(UTC)
        of_it = identity.credentials if identity else ()
        stored = [item for item in of_it if isinstance(item, PasswordCredential) and item.is_live(at)]
        found = await self._verification.matching([item.hash for item in stored], password)
        return None if found is None else stored[found]
