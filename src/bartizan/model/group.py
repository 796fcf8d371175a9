"""Groups: who is in one has its roles; and the roles that an identity acts in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bartizan.model.ids import GroupName, RoleName
from bartizan.model.principal import QUARANTINE_ROLE, Identity, IdentityState


@dataclass(frozen=True, slots=True)
class Group:
    """A group as stored. Its members are the identities that name it."""

    name: GroupName
    created_at: datetime
    roles: tuple[RoleName, ...] = ()
    note: str = ""
    revision: int = 0
    """The store's revision at which it was last written; 0 before the first time."""


def acting_roles(identity: Identity, groups: Mapping[str, Group], at: datetime) -> tuple[RoleName, ...]:
    """An identity's own roles, then those of its groups, each once; in quarantine, that of the quarantine alone."""
    if identity.state_at(at) is IdentityState.QUARANTINED:
        return (QUARANTINE_ROLE,)
    given = [role for name in identity.groups if name in groups for role in groups[name].roles]
    return tuple(dict.fromkeys((*identity.roles, *given))) if given else identity.roles
