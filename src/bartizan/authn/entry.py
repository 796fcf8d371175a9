"""One entry of a listener's `authentication`: an authenticator, or several that all have to prove the same identity."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bartizan.authn.base import Authenticator, Called, Challenge, ConnectRequest, Denied, Proof
from bartizan.model.reason import ReasonCode

Judge = Callable[[Proof], Awaitable[Proof]]
"""Looks at a part's proof before it counts: the proof, perhaps with an earlier end, or `Denied`."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one name stands for: an authenticator, or one for each method that it speaks."""

    name: str
    authenticators: tuple[Authenticator, ...]

    def speaker(self, method: str | None) -> Authenticator | None:
        """The authenticator that judges CONNECTs of this method (None: without one)."""
        return next((item for item in self.authenticators if item.method == method), None)

    @property
    def takes_passwords(self) -> bool:
        """Whether guesses at passwords are judged here."""
        return any(getattr(item, "takes_passwords", False) for item in self.authenticators)


@dataclass(frozen=True, slots=True)
class Entry:
    """All parts prove, or the entry does not."""

    parts: tuple[Part, ...]

    @property
    def takes_passwords(self) -> bool:
        """Whether guesses at passwords are judged here."""
        return any(part.takes_passwords for part in self.parts)

    def speakers(self, method: str | None) -> list[Authenticator] | None:
        """Whom this entry asks about a CONNECT of that method, part by part; None if it has no say.

        An exchange by AUTH is led by a part that speaks its method. Beside it, and only there, one that knows
        nothing of methods judges what else the CONNECT brought: its certificate.
        """
        of_method = [part.speaker(method) for part in self.parts]
        if not any(of_method):
            return None
        found = [speaker or part.speaker(None) for speaker, part in zip(of_method, self.parts, strict=True)]
        return None if None in found else [speaker for speaker in found if speaker is not None]

    async def prove(self, request: ConnectRequest, judge: Judge | None = None) -> Proof | Challenge | None:
        """The proof; a challenge; None if something is missing of what the entry asks for."""
        method = request.authentication_method
        speakers = self.speakers(method)
        if speakers is None:
            return None
        answers: dict[int, Proof] = {}
        # Who leads an exchange comes last: no client is challenged whose certificate already failed.
        for at in sorted(range(len(speakers)), key=lambda at: method is not None and speakers[at].method == method):
            answer = await speakers[at].authenticate(request)
            if answer is None:
                return self._missing(at, bool(answers))
            if isinstance(answer, Challenge):
                if method is None:
                    raise Denied(ReasonCode.SERVER_UNAVAILABLE, "an authenticator without a method sent a challenge")
                return answer
            answers[at] = answer if judge is None else await judge(answer)
        return together([answers[at] for at in range(len(speakers))])

    def _missing(self, at: int, others_proved: bool) -> None:  # noqa: FBT001
        if others_proved:
            raise Denied(ReasonCode.NOT_AUTHORIZED, f"{self.parts[at].name} is asked for too, and was not presented")


def together(proofs: Sequence[Proof]) -> Proof:
    """Several proofs of one identity as one: good as long as each of them is."""
    first = proofs[0]
    if len(proofs) == 1:
        return first
    names = {proof.principal.identity for proof in proofs}
    if len(names) > 1:
        raise Denied(ReasonCode.NOT_AUTHORIZED, f"the proofs name different identities: {', '.join(sorted(names))}")
    # What the identity store keeps is what the engine goes by: a proof from elsewhere adds no role to it.
    stored = next((proof for proof in proofs if proof.managed), None)
    of = [stored] if stored is not None else proofs
    attributes = {key: value for proof in reversed(of) for key, value in proof.principal.attributes}
    ends = [proof.expires_at for proof in proofs if proof.expires_at is not None]
    return replace(
        first,
        principal=replace(
            (stored or first).principal,
            roles=tuple(dict.fromkeys(role for proof in of for role in proof.principal.roles)),
            attributes=tuple(sorted(attributes.items())),
            method="+".join(proof.principal.method for proof in proofs),
            # What one token does not allow no other one does.
            narrowed_to=tuple(token for proof in proofs for token in proof.principal.narrowed_to),
        ),
        expires_at=_earliest(ends),
        user_name=_called({proof.user_name for proof in proofs}),
        may_use_any_client_id=all(proof.may_use_any_client_id for proof in proofs),
        managed=stored is not None,
        data=next((proof.data for proof in proofs if proof.data is not None), None),
        remembered_s=min(proof.remembered_s for proof in proofs),
        factors=frozenset().union(*(proof.shown for proof in proofs)),
    )


def _called(said: set[Called]) -> Called:
    """What is asked of the User Name: whoever proved it knows best, and else the strictest holds."""
    return next(one for one in (Called.ACCOUNT, Called.IDENTITY, Called.ANYTHING) if one in said)


def _earliest(ends: Sequence[datetime]) -> datetime | None:
    return min(ends, default=None)
