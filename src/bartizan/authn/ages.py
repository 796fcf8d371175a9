"""A credential that is too old proves nothing, and what it proved ends when it becomes so."""

from dataclasses import replace
from datetime import UTC, datetime

from bartizan.authn.base import Denied, Proof
from bartizan.identity.ages import AgeLimits
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory


class AgeGuard:
    """Looks at every proof that rests on a stored credential, whichever authenticator made it."""

    def __init__(self, directory: IdentityDirectory, limits: AgeLimits) -> None:
        self._directory = directory
        self._limits = limits

    async def judge(self, proof: Proof) -> Proof:
        """The proof with the end that its credential's age gives it; `Denied` if that is past."""
        wanted = proof.principal.credential_id
        identity = await self._directory.get(proof.principal.identity) if wanted else None
        found = [item for item in identity.credentials if item.id == wanted] if identity is not None else []
        if not found:
            return proof
        ends_at = self._limits.end(found[0], proof.principal.roles)
        if ends_at is None:
            return proof
        if ends_at <= datetime.now(UTC):
            kind = found[0].kind
            why = f"the {kind} is older than the {self._limits.days(kind, proof.principal.roles)} days it may become"
            raise Denied(ReasonCode.NOT_AUTHORIZED, why)
        return replace(proof, expires_at=min(ends_at, proof.expires_at or ends_at))
