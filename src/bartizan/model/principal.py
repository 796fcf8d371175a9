"""Who exists, and who a connection is.

`Identity` is what the identity store keeps. `Principal` is what an authenticator makes of it for
one connection: no credential in it, so it may be logged and handed to the engine.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bartizan.model.credential import Credential
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.token_grant import TokenGrants

QUARANTINE_ROLE = RoleName("quarantine")
"""The one role of an identity in quarantine; the policy says what that may do. Nothing, where it does not."""

ANONYMOUS_ROLE = RoleName("anonymous")
"""The one role of a client that presented nothing; it grants what the policy gives it: at first, nothing."""

MFA_FACTORS = 2
"""So many different factors make multi-factor authentication."""


class Factor(StrEnum):
    """A kind of proof. Two of different kinds are harder to steal than one."""

    CERTIFICATE = "certificate"
    PASSWORD = "password"  # noqa: S105  the word, not one
    TOKEN = "token"  # noqa: S105  likewise
    SCRAM = "scram"
    EXTERNAL = "external"


class IdentityState(StrEnum):
    """Whether an identity may connect, and as what: in its own roles only if it is enabled."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """Not for now."""
    QUARANTINED = "quarantined"
    """Only in the role `quarantine`, until `quarantined_until`; without it, until somebody enables it."""
    REVOKED = "revoked"
    """Never again: lost, stolen, scrapped."""


_CONNECTS = frozenset((IdentityState.ENABLED, IdentityState.QUARANTINED))


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity as stored, with everything that can prove it."""

    name: IdentityName
    created_at: datetime
    roles: tuple[RoleName, ...] = ()
    """Its own. Those of its groups come to them, or others take their place: `group.acting_roles`."""
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    state: IdentityState = IdentityState.ENABLED
    note: str = ""
    credentials: tuple[Credential, ...] = field(default=(), repr=False)
    revision: int = 0
    """The store's revision at which it was last written; 0 before the first time."""
    groups: tuple[GroupName, ...] = ()
    owner: str = ""
    """Whom to ask about it."""
    quarantined_until: datetime | None = None
    quarantine_reason: str = ""
    quarantine_ticket: str = ""
    """Where the matter is kept, such as INC-4711."""
    quarantined_by: str = ""

    def out_of_quarantine(self) -> "Identity":
        """The same, without what is said of a quarantine."""
        return replace(self, quarantined_until=None, quarantine_reason="", quarantine_ticket="", quarantined_by="")

    def state_at(self, at: datetime) -> IdentityState:
        """Its state; a quarantine that is over is none."""
        if self.state is IdentityState.QUARANTINED and self.quarantined_until and self.quarantined_until <= at:
            return IdentityState.ENABLED
        return self.state

    def refusal(self, at: datetime) -> str | None:
        """Why it may not connect; None if it may."""
        state = self.state_at(at)
        return None if state in _CONNECTS else f"the identity is {state.value}"

    def principal(
        self, method: str, *, factor: Factor | None = None, credential: Credential | None = None
    ) -> "Principal":
        """What a connection proved by `method` may act as; `credential` is the stored one that proved it."""
        return Principal(
            identity=self.name,
            roles=self.roles,
            attributes=self.attributes,
            method=method,
            factors=frozenset() if factor is None else frozenset({factor}),
            credential_id="" if credential is None else credential.id,
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a connection is, once proved."""

    identity: str
    roles: tuple[RoleName, ...] = ()
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    method: str = "none"
    """How it was proved: `certificate`, `password`, `anonymous`, or an authenticator's own word; `a+b` by both."""
    factors: frozenset[Factor] = frozenset()
    """What was shown to prove it."""
    credential_id: str = field(default="", compare=False)
    """The stored credential that proved it, for "last used"; empty if none did."""
    narrowed_to: tuple[TokenGrants, ...] = ()
    """What its tokens let it do of what its roles permit; of several each has to. Empty: no token says anything of that."""

    @property
    def strengths(self) -> frozenset[str]:
        """The words that the policy has for how well it was proved."""
        words = {"certificate"} if Factor.CERTIFICATE in self.factors else set[str]()
        return frozenset(words | ({"mfa"} if len(self.factors) >= MFA_FACTORS else set[str]()))
