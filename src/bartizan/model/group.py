"""Groups: who is in one has its roles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bartizan.model.ids import GroupName, RoleName


@dataclass(frozen=True, slots=True)
class Group:
    """A group as stored. Its members are the identities that name it."""

    name: GroupName
    created_at: datetime
    roles: tuple[RoleName, ...] = ()
    note: str = ""
    revision: int = 0
    """The store's revision at which it was last written; 0 before the first time."""


def effective_roles(
    own: tuple[RoleName, ...], member_of: Iterable[GroupName], groups: Mapping[str, Group]
) -> tuple[RoleName, ...]:
    """An identity's own roles, then those of its groups, each once."""
    given = [role for name in member_of if name in groups for role in groups[name].roles]
    return tuple(dict.fromkeys((*own, *given))) if given else own
