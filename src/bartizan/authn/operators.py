"""Operators log in: password and a code, a passkey, or an OpenID Provider. What is wrong is told to nobody but the log.

Guessing is slowed down by place as for clients (`backoff`). A code can be guessed only by who has the password, from
however many places: so wrong codes behind a right password are counted for the operator as well, and it waits
longer; a passkey is not asked to wait for them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from bartizan.authn.backoff import Attempt, Backoff, TooSoon
from bartizan.authn.oidc import Answer, NotVouched, OpenIdClient, Question
from bartizan.config.authenticators import PasswordSettings
from bartizan.errors import AlreadyExists, BartizanError, Conflict, NotFound
from bartizan.identity import hashes
from bartizan.identity.operators import after_code, after_recovery, by_provider
from bartizan.identity.passkeys import Ceremony, RelyingParty, after_login, begin_login, begin_proof, claimed_operator
from bartizan.identity.passwords import PASSWORD_BYTES_MAX
from bartizan.model.operator import Operator, OperatorFactor, OperatorProof
from bartizan.store.ports import OperatorStore

VERIFICATIONS_MAX: Final = 2
"""Hashes computed at once."""

WAITING_MAX: Final = 64
"""Logins that wait for their turn; further ones may come again."""

CODES: Final = PasswordSettings(free_failures=5, wait_max_s=900.0, forgiven_every_s=3_600.0)
"""Wrong codes behind a right password: five in an hour are free, then up to a quarter of an hour each."""

LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
"""When a person proved itself to a provider that does not say when: it is no recent proof."""

_CODES_PLACE = "codes"


@dataclass(frozen=True, slots=True)
class _Judged:
    operator: Operator
    factors: frozenset[OperatorFactor]
    passkey: bytes = b""
    subject: str = ""
    proved_at: datetime | None = None
    """None: now."""


class LoginRefused(BartizanError):  # noqa: N818  as in errors.py
    """Nobody was let in. `why` is for the log; what is told outside is the same for every reason.

    `wait_s`: it came too soon; what was shown has not been looked at.
    """

    def __init__(self, why: str, *, wait_s: float | None = None) -> None:
        super().__init__("the login was refused")
        self.why = why
        self.wait_s = wait_s


class OperatorLogin:
    """Verifies operators of a store. Use it from one thread; one for the whole process."""

    def __init__(
        self,
        store: OperatorStore,
        settings: PasswordSettings,
        executor: Executor | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._executor = executor
        self._now = now
        self._places = Backoff(settings, clock)
        self._codes = Backoff(CODES, clock)
        self._turn = asyncio.Semaphore(VERIFICATIONS_MAX)
        self._waiting = 0
        self._shape = hashes.our_shape()

    async def by_password(self, name: str, password: str, code: str | None = None, *, address: str) -> OperatorProof:
        """A proof, or `LoginRefused`. `code`: a one-time or a recovery code; who has a second factor needs one."""
        return await self._counted(address, name, lambda: self._judged(name, password, code))

    def ask_passkey(self, party: RelyingParty, operator: Operator | None = None) -> Ceremony:
        """Begins a login by passkey, or another proof of an operator who is logged in. Keep it for one answer."""
        at = self._now()
        return begin_login(party, at=at) if operator is None else begin_proof(operator, party, at=at)

    async def by_passkey(self, ceremony: Ceremony, answer: str, party: RelyingParty, *, address: str) -> OperatorProof:
        """A proof, or `LoginRefused`. The caller gives each ceremony to one call only."""
        name = ceremony.operator or claimed_operator(answer)
        return await self._counted(address, name, lambda: self._judged_key(name, ceremony, answer, party))

    async def by_provider(
        self, client: OpenIdClient, question: Question, answer: Answer, *, adds: bool, address: str
    ) -> OperatorProof:
        """A proof by an OpenID Provider, or `LoginRefused`; `ProviderUnavailable` where it was no help.

        `adds`: an operator is added at its first login, and has the roles that the provider gives it.
        """
        return await self._counted(address, "", lambda: self._judged_there(client, question, answer, adds=adds))

    async def _counted(self, address: str, name: str, judge: Callable[[], Awaitable[_Judged]]) -> OperatorProof:
        attempt = self._begin(self._places, address, name)
        try:
            judged = await judge()
        except LoginRefused as refused:
            (self._places.failed if refused.wait_s is None else self._places.withdrawn)(attempt)
            raise
        except BaseException:
            self._places.withdrawn(attempt)
            raise
        self._places.succeeded(attempt)
        operator = judged.operator
        return OperatorProof(
            operator.name,
            operator.roles,
            operator.tenant,
            judged.factors,
            judged.proved_at or self._now(),
            operator.must_change,
            judged.passkey,
            judged.subject,
        )

    async def _judged_key(self, name: str, ceremony: Ceremony, answer: str, party: RelyingParty) -> _Judged:
        operator = await self._store.operator(name)
        shown = after_login(operator, answer, ceremony, party, at=self._now()) if operator else None
        if shown is None:
            raise LoginRefused("the passkey proves nothing")
        after, key = shown
        if not after.is_enabled:
            raise LoginRefused("the operator is disabled")
        await self._keep(after)
        return _Judged(after, frozenset({OperatorFactor.PASSKEY}), key.id)

    async def _judged_there(self, client: OpenIdClient, question: Question, answer: Answer, *, adds: bool) -> _Judged:
        try:
            vouched = await client.judge(question, answer)
        except NotVouched as told:
            raise LoginRefused(str(told)) from None
        before = await self._store.operator(vouched.operator)
        after = by_provider(before, vouched.operator, vouched.subject, vouched.roles if adds else None, at=self._now())
        if after is None:
            why = "is no operator" if before is None else "is somebody else's name here"
            raise LoginRefused(f"the provider vouches for {vouched.operator!r}, which {why}")
        if not after.is_enabled:
            raise LoginRefused("the operator is disabled")
        if before is None:
            await self._add(after)
        elif after != before:
            await self._keep(after)
        factors = {OperatorFactor.OIDC} | ({OperatorFactor.OIDC_MFA} if vouched.is_mfa else set())
        return _Judged(after, frozenset(factors), subject=vouched.subject, proved_at=vouched.proved_at or LONG_AGO)

    async def _judged(self, name: str, password: str, code: str | None) -> _Judged:
        operator = await self._store.operator(name)
        stored = operator.password_hash if operator is not None else ""
        # One hash is computed whoever was named.
        is_right = await self._verify(stored or hashes.decoy(self._shape), password)
        if operator is None or not stored or not is_right:
            raise LoginRefused("wrong password" if operator is not None else "no such operator")
        if not operator.is_enabled:
            raise LoginRefused("the operator is disabled")
        if not operator.has_second_factor:
            return _Judged(operator, frozenset({OperatorFactor.PASSWORD}))
        return _Judged(operator, frozenset({OperatorFactor.PASSWORD, await self._second(operator, code)}))

    async def _second(self, operator: Operator, code: str | None) -> OperatorFactor:
        if not code:
            raise LoginRefused("a second factor is needed")
        attempt = self._begin(self._codes, _CODES_PLACE, operator.name)
        at = self._now()
        shown = OperatorFactor.TOTP
        after = after_code(operator, code, at=at)
        if after is None:
            shown, after = OperatorFactor.RECOVERY, after_recovery(operator, code, at=at)
        if after is None:
            self._codes.failed(attempt)
            raise LoginRefused("wrong code, or one that was used")
        # A right one forgets no wrong ones: somebody else may have shown those.
        self._codes.withdrawn(attempt)
        await self._keep(after)
        return shown

    async def _keep(self, after: Operator) -> None:
        """Written before anyone is let in: a code, and a count, hold once."""
        try:
            await self._store.replace_operator(after)
        except (Conflict, NotFound):
            raise LoginRefused("the operator was changed meanwhile, or the code was used") from None

    async def _add(self, operator: Operator) -> None:
        try:
            await self._store.add_operator(operator)
        except AlreadyExists:
            raise LoginRefused("the operator was added meanwhile") from None

    async def _verify(self, stored: str, password: str) -> bool:
        octets = password.encode(errors="replace")
        if len(octets) > PASSWORD_BYTES_MAX:
            octets = b""
        if self._waiting >= WAITING_MAX:
            raise LoginRefused("too many passwords wait to be checked", wait_s=1.0)
        self._waiting += 1
        try:
            async with self._turn:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._executor, lambda: hashes.verify(stored, octets))
        finally:
            self._waiting -= 1

    def _begin(self, backoff: Backoff, address: str, name: str) -> Attempt:
        try:
            return backoff.begin(address, name)
        except TooSoon as early:
            raise LoginRefused(str(early), wait_s=early.wait_s) from None
