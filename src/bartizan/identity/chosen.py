"""Whom an action on many is about: everybody with a role, or whose name fits a pattern."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from bartizan.errors import NotFound
from bartizan.identity.listing import groups_by_name
from bartizan.identity.register import Register
from bartizan.model.group import acting_roles
from bartizan.model.principal import Identity, IdentityState


async def chosen(
    register: Register,
    role: str | None,
    matching: str | None,
    *,
    at: datetime,
    in_quarantine: bool = False,
    is_seen: Callable[[Identity], bool] = lambda _identity: True,
) -> tuple[str, ...]:
    """Their names, in order; `NotFound` for nobody. Who is revoked is none of them.

    `in_quarantine`: those alone who are in it, by the roles that they have outside.
    """
    groups = await groups_by_name(register)

    def is_meant(identity: Identity) -> bool:
        if identity.state is IdentityState.REVOKED:
            return False
        if in_quarantine and identity.state is not IdentityState.QUARANTINED:
            return False
        if matching is not None and not fnmatchcase(identity.name, matching):
            return False
        own = replace(identity, state=IdentityState.ENABLED) if in_quarantine else identity
        return role is None or role in acting_roles(own, groups, at)

    found = [str(identity.name) async for identity in register.everyone() if is_meant(identity) and is_seen(identity)]
    if not found:
        raise NotFound("no identity is meant by that")
    return tuple(found)


def mark_of(action: str, names: Sequence[str]) -> str:
    """Names exactly these, for this action: whoever repeats it means those whom a preview has shown, and nobody else."""
    return hashlib.sha256("\0".join([action, *sorted(names)]).encode()).hexdigest()[:32]
