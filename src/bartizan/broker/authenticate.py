"""One question of the engine -> one answer: in time, and never "allow" by accident (I6)."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from bartizan.authn.base import ConnectRequest, Verdict
from bartizan.broker.ports import Allow, Answer, Deny, Proceed, Question
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode

DEADLINE_S = 5.0
"""An authenticator that takes longer has not answered: 0x88. The engine gives up a little later."""

ASSIGNED_BYTES = 8
REFUSALS = frozenset(code for code in ReasonCode if code >= 0x80)  # noqa: PLR2004  the standard's line (2.4)
UNJUDGED = frozenset({ReasonCode.SERVER_UNAVAILABLE, ReasonCode.BANNED})
"""Refusals that say nothing of the credential."""


class Decider(Protocol):
    """What decides: `authn.Chain`, or a chain of the embedder's own."""

    async def decide(self, request: ConnectRequest) -> Verdict:
        """The verdict on one CONNECT."""
        ...


class Desk:
    """Answers questions by asking a chain of authenticators.

    `settled` waits until the engine knows the identities that the chain decides by: a client that was
    enrolled a moment ago is not let in before the engine has its roles. `admitted` is told who was let in, `proved`
    which of them the identity store keeps, `refused` whose credential proved nobody.
    """

    def __init__(
        self,
        chain: Decider,
        settled: Callable[[], Awaitable[None]],
        deadline_s: float = DEADLINE_S,
        proved: Callable[[ConnectRequest, Principal], None] | None = None,
        admitted: Callable[[ConnectRequest, Principal], None] | None = None,
        refused: Callable[[ConnectRequest], None] | None = None,
    ) -> None:
        self._chain = chain
        self._settled = settled
        self._deadline_s = deadline_s
        self._proved = proved
        self._admitted = admitted
        self._refused = refused

    async def answer(self, question: Question) -> Answer:
        """The answer. Whatever goes wrong on the way is a refusal."""
        try:
            async with asyncio.timeout(self._deadline_s):
                verdict = await self._chain.decide(question.request)
                if verdict.allowed:
                    await self._settled()
                if self._proved is not None and verdict.managed and verdict.principal is not None:
                    self._proved(question.request, verdict.principal)
                if self._admitted is not None and verdict.principal is not None:
                    self._admitted(question.request, verdict.principal)
                if self._refused is not None and _proved_nobody(verdict):
                    self._refused(question.request)
        except TimeoutError:
            return Deny(question.token, ReasonCode.SERVER_UNAVAILABLE, "authentication took too long")
        except Exception as error:  # noqa: BLE001  a bug in an authenticator must not let anyone in
            return Deny(question.token, ReasonCode.SERVER_UNAVAILABLE, f"authentication failed: {type(error).__name__}")
        return _answer(question, verdict)


def _proved_nobody(verdict: Verdict) -> bool:
    return verdict.principal is None and verdict.challenge is None and verdict.reason not in UNJUDGED


def _answer(question: Question, verdict: Verdict) -> Answer:
    if verdict.challenge is not None:
        return Proceed(question.token, verdict.challenge.data, verdict.challenge.state)
    if verdict.principal is None:
        # A refusal that is not spelt as one is one all the same.
        reason = verdict.reason if verdict.reason in REFUSALS else ReasonCode.SERVER_UNAVAILABLE
        return Deny(question.token, reason, verdict.why)
    assigned = None
    if verdict.assigned_prefix is not None:
        # Unguessable, so that nobody can lie in wait for somebody else's Session.
        assigned = verdict.assigned_prefix + secrets.token_hex(ASSIGNED_BYTES)
    return Allow(
        question.token,
        verdict.principal,
        managed=verdict.managed,
        assigned_client_id=assigned,
        ends_at=verdict.expires_at,
        data=verdict.data,
        remembered_s=verdict.remembered_s,
    )
