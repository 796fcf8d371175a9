"""Roles and who has them: by itself, or through which group."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bartizan.errors import NotFound
from bartizan.identity.edit import Names
from bartizan.identity.register import Register
from bartizan.model.group import Group
from bartizan.model.ids import RoleName
from bartizan.model.principal import Identity
from bartizan.store.ports import Change, Replace, ReplaceGroup


async def roles_with_holders(register: Register, in_policy: Collection[str]) -> list[dict[str, Any]]:
    """The roles of the policy, and those that somebody has though the policy lacks them."""
    groups = await register.store.groups()
    holders = await _holders(register, groups)
    of_groups = {role for group in groups for role in group.roles}
    return [
        {
            "role": role,
            "in_policy": role in in_policy,
            "identity_count": len(holders.get(role, [])),
            "groups": [str(group.name) for group in groups if role in group.roles],
        }
        for role in sorted({*in_policy} | holders.keys() | of_groups)
    ]


async def role_with_holders(register: Register, role: str, in_policy: Collection[str]) -> dict[str, Any]:
    """Who has this role, and through what; `NotFound` if there is no such role, and nobody has it."""
    holders = (await _holders(register, await register.store.groups())).get(role, [])
    if role not in in_policy and not holders:
        raise NotFound(f"the policy has no role {role!r}, and nobody has it")
    return {"role": role, "in_policy": role in in_policy, "holders": holders}


def granted(role: str, in_policy: Collection[str]) -> Names[RoleName]:
    """The change that gives a role; `NotFound` for one that the policy lacks."""
    if role not in in_policy:
        raise NotFound(f"the policy has no role {role!r}: it has {', '.join(sorted(in_policy)) or 'none'}")
    return Names.parse(RoleName, [role], [])


async def change_holders(
    register: Register, change: Names[RoleName], names: Sequence[str], groups: Sequence[str]
) -> None:
    """Gives or takes roles, from all of these or none."""
    identities = [await register.get(name) for name in names]
    of_groups = [await register.group(name) for name in groups]
    changes: list[Change] = [
        *(Replace(replace(one, roles=change.over(one.roles, f"{one.name} has no role"))) for one in identities),
        *(
            ReplaceGroup(replace(one, roles=change.over(one.roles, f"group {one.name} has no role")))
            for one in of_groups
        ),
    ]
    await register.store.commit(changes)


async def _holders(register: Register, groups: Sequence[Group]) -> dict[str, list[dict[str, Any]]]:
    """Who has each role, and through what."""
    by_name = {str(group.name): group for group in groups}
    found: dict[str, list[dict[str, Any]]] = {}
    async for identity in register.everyone():
        for role, through in _ways(identity, by_name).items():
            found.setdefault(role, []).append({"identity": str(identity.name), "through": through})
    return found


def _ways(identity: Identity, groups: Mapping[str, Group]) -> dict[str, list[str]]:
    """Its roles, and how it comes to each: `itself`, or the names of groups."""
    ways: dict[str, list[str]] = {role: ["itself"] for role in identity.roles}
    for name in identity.groups:
        for role in groups[name].roles:
            ways.setdefault(role, []).append(f"group {name}")
    return ways
