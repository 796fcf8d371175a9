"""Any of a listener's entries, then the binding of the Client Identifier. Fails closed.

Which entries a listener has is `authn/kinds.py`'s to build from its settings; what an entry is, `authn/entry.py`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bartizan.authn.backoff import Attempt, Backoff, TooSoon
from bartizan.authn.base import (
    STATE_BYTES_MAX,
    Authenticator,
    Challenge,
    ConnectRequest,
    Denied,
    Proof,
    ProviderUnavailable,
    Verdict,
)
from bartizan.authn.binding import Names, OwnNames, bind_client_id, check_user_name
from bartizan.authn.entry import Entry, Judge, Part
from bartizan.errors import BartizanError
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory


def each_alone(authenticators: Sequence[Authenticator]) -> tuple[Entry, ...]:
    """Entries of one authenticator each."""
    return tuple(Entry((Part(name_of(item), (item,)),)) for item in authenticators)


def name_of(authenticator: Authenticator) -> str:
    """What a listener's `authentication` calls it."""
    return getattr(authenticator, "name", None) or type(authenticator).__name__.lower()


Connected = Callable[[], Awaitable[Collection[str]]]
"""The Client Identifiers of those who are connected now."""


class Guard(Protocol):
    """Looks at what came with a CONNECT before any authenticator does."""

    async def check(self, request: ConnectRequest) -> float:
        """For how many seconds its consent counts; `Denied`, or `ProviderUnavailable`."""
        ...

    async def look_again(self, connected: Connected) -> None:
        """Looks again at what it consented to, as far as that is still connected."""
        ...

    async def aclose(self) -> None:
        """Lets go of what it holds open."""
        ...


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked at beside the proofs."""

    guards: Mapping[str, Guard] = field(default_factory=dict)
    """Of each listener that has one, before the proofs."""
    judge: Judge | None = None
    """Of each proof."""
    is_banned: Callable[[str], bool] = field(default=lambda _name: False)
    """Whether an identity may not connect: asked before a password is hashed for its name. The engine asks again of
    whoever is proved."""


NO_CHECKS = Checks()


class Chain:
    """Asks each entry in turn; the first proof counts.

    `authenticators` are asked, one by one, for listeners that `listeners` does not name. Passwords come last: what
    is recognised as something else is never hashed.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        directory: IdentityDirectory,
        *,
        listeners: Mapping[str, Sequence[Entry]] | None = None,
        backoff: Backoff | None = None,
        names: Names | None = None,
        checks: Checks = NO_CHECKS,
    ) -> None:
        self._names = names or OwnNames()
        self._entries = _in_order(each_alone(authenticators))
        self._of_listener = {name: _in_order(entries) for name, entries in (listeners or {}).items()}
        self._directory = directory
        self._backoff = backoff
        self._judge = checks.judge
        self._is_banned = checks.is_banned
        self._guards = checks.guards

    async def decide(self, request: ConnectRequest) -> Verdict:
        """The verdict. Whatever goes wrong inside is 0x88 Server unavailable, never "allow" (I6)."""
        try:
            guard = self._guards.get(request.listener)
            counts_s = float("inf") if guard is None else await guard.check(request)
            proof = await self._prove(request)
            if isinstance(proof, Challenge):
                return Verdict.proceed(proof)
            check_user_name(proof, request, self._names)
            prefix = await bind_client_id(proof, request, self._directory, self._names)
            proof = replace(
                proof,
                principal=replace(proof.principal, factors=proof.shown),
                remembered_s=int(min(proof.remembered_s, counts_s)),
            )
        except Denied as denied:
            return Verdict.deny(denied.reason, denied.why)
        except BartizanError as error:
            return Verdict.deny(ReasonCode.SERVER_UNAVAILABLE, str(error))
        except Exception as error:  # noqa: BLE001  an authenticator's own bug must not let anyone in
            return Verdict.deny(ReasonCode.SERVER_UNAVAILABLE, f"an authenticator failed: {type(error).__name__}")
        return Verdict.allow(proof, prefix)

    async def look_again(self, connected: Connected) -> None:
        """Has guards look again at who is connected."""
        for guard in self._guards.values():
            await guard.look_again(connected)

    async def aclose(self) -> None:
        """Lets go of what authenticators hold open."""
        entries = [*self._entries, *(entry for listed in self._of_listener.values() for entry in listed)]
        held = {id(item): item for entry in entries for part in entry.parts for item in part.authenticators}
        for item in (*held.values(), *self._guards.values()):
            close = getattr(item, "aclose", None)
            if close is not None:
                await close()

    async def _prove(self, request: ConnectRequest) -> Proof | Challenge:
        entries = self._of_listener.get(request.listener, self._entries)
        method = request.authentication_method
        # One that knows nothing of methods never judges an exchange by itself, nor the other way round.
        asked = [(at, entry) for at, entry in enumerate(entries) if entry.speakers(method) is not None]
        if method is not None and not asked:
            raise Denied(ReasonCode.BAD_AUTHENTICATION_METHOD, "no authenticator speaks this method")
        if request.exchange_state is not None:
            asked, request = _goes_on(asked, request)
        guess = _Guess(self._backoff, request)
        try:
            return await self._any(asked, request, guess)
        finally:
            guess.end()

    async def _any(
        self, asked: Sequence[tuple[int, Entry]], request: ConnectRequest, guess: "_Guess"
    ) -> Proof | Challenge:
        first: BartizanError | None = None
        may_be_password = True
        for at, entry in asked:
            if entry.takes_passwords and not may_be_password:
                continue
            try:
                if entry.takes_passwords:
                    self._refuse_banned(request)
                    guess.begin()
                answer = await entry.prove(request, self._judge)
            except ProviderUnavailable as unavailable:
                # Nobody knows whether it would have proved: that is no "no", and certainly no "yes".
                first = unavailable
                may_be_password &= not unavailable.conclusive
                continue
            except Denied as denied:
                guess.was_wrong |= entry.takes_passwords and denied.reason is ReasonCode.BAD_USER_NAME_OR_PASSWORD
                may_be_password &= not denied.conclusive
                first = first or denied
                continue
            if isinstance(answer, Challenge):
                return replace(answer, state=_marked(at, answer.state))
            if answer is not None:
                guess.was_right = entry.takes_passwords
                guess.was_wrong = False
                return answer
        if first is not None:
            raise first
        raise Denied(
            ReasonCode.NOT_AUTHORIZED
            if request.user_name is None or request.authentication_method
            else ReasonCode.BAD_USER_NAME_OR_PASSWORD,
            "no credential was presented that proves anyone",
        )

    def _refuse_banned(self, request: ConnectRequest) -> None:
        """Before a password costs a hash: whoever has this name may not connect."""
        if request.user_name is not None and self._is_banned(request.user_name):
            raise Denied(ReasonCode.BANNED, "the identity is banned", conclusive=True)


def _in_order(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.takes_passwords))


def _marked(at: int, state: bytes) -> bytes:
    """The state of an exchange, with the entry that leads it: no other one ever sees it."""
    if len(state) >= STATE_BYTES_MAX:
        raise Denied(ReasonCode.SERVER_UNAVAILABLE, "the state of an exchange is too large")
    return bytes([at]) + state


def _goes_on(
    asked: Sequence[tuple[int, Entry]], request: ConnectRequest
) -> tuple[list[tuple[int, Entry]], ConnectRequest]:
    state = request.exchange_state or b"\xff"
    led = [(at, entry) for at, entry in asked if at == state[0]]
    if not led:
        raise Denied(ReasonCode.SERVER_UNAVAILABLE, "the exchange has no authenticator any more")
    return led, replace(request, exchange_state=state[1:])


class _Guess:
    """What a CONNECT with a password means for whoever guesses: counted once, by how all of it ended."""

    def __init__(self, backoff: Backoff | None, request: ConnectRequest) -> None:
        self._backoff = backoff
        self._request = request
        self._attempt: Attempt | None = None
        self.was_right = False
        self.was_wrong = False

    def begin(self) -> None:
        """Called before a password is judged; `Denied` 0x89 if that is too soon after wrong ones."""
        request = self._request
        if self._backoff is None or self._attempt is not None or request.user_name is None or request.password is None:
            return
        try:
            self._attempt = self._backoff.begin(request.address, request.user_name)
        except TooSoon as early:
            raise Denied(ReasonCode.SERVER_BUSY, str(early)) from None

    def end(self) -> None:
        """Counts it."""
        if self._backoff is None or self._attempt is None:
            return
        if self.was_right:
            self._backoff.succeeded(self._attempt)
        elif self.was_wrong:
            self._backoff.failed(self._attempt)
        else:
            self._backoff.withdrawn(self._attempt)
