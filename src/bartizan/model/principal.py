"""Who exists, and who a connection is.

`Identity` is what the identity store keeps. `Principal` is what an authenticator makes of it for
one connection: no credential in it, so it may be logged and handed to the engine.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bartizan.model.credential import Credential
from bartizan.model.ids import AttributeName, IdentityName, RoleName

ANONYMOUS_ROLE = RoleName("anonymous")
"""The one role of a client that presented nothing; it grants what the policy gives it: at first, nothing."""


class Factor(StrEnum):
    """A kind of proof. Two of different kinds are harder to steal than one."""

    CERTIFICATE = "certificate"
    PASSWORD = "password"  # noqa: S105  the word, not one
    TOKEN = "token"  # noqa: S105  likewise
    SCRAM = "scram"
    EXTERNAL = "external"


class IdentityState(StrEnum):
    """Whether an identity may connect."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity as stored, with everything that can prove it."""

    name: IdentityName
    created_at: datetime
    roles: tuple[RoleName, ...] = ()
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    state: IdentityState = IdentityState.ENABLED
    note: str = ""
    credentials: tuple[Credential, ...] = field(default=(), repr=False)
    revision: int = 0
    """The store's revision at which it was last written; 0 before the first time."""

    def principal(self, method: str) -> "Principal":
        """What a connection proved by `method` may act as."""
        return Principal(identity=self.name, roles=self.roles, attributes=self.attributes, method=method)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a connection is, once proved."""

    identity: str
    roles: tuple[RoleName, ...] = ()
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    method: str = "none"
    """How it was proved: `certificate`, `password`, `anonymous`, or an authenticator's own word; `a+b` by both."""
    factors: frozenset[Factor] = frozenset()
    """The kinds of proof it brought; none for `anonymous`."""

    @property
    def strengths(self) -> frozenset[str]:
        """The policy's words for how strong that is: `certificate`, and `mfa` for two kinds or more. Both may hold."""
        words = {"certificate"} if Factor.CERTIFICATE in self.factors else set()
        return frozenset(words | {"mfa"} if len(self.factors) > 1 else words)
