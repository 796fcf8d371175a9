"""Groups as people see and change them: roles, and who is in."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bartizan.identity.edit import Edit, Names
from bartizan.identity.records import group_record
from bartizan.identity.register import Register
from bartizan.model.group import Group
from bartizan.model.ids import GroupName, IdentityName, RoleName, parse_remark
from bartizan.store.ports import Replace


async def groups_with_sizes(register: Register) -> list[dict[str, Any]]:
    """Every group, with how many are in it."""
    groups = await register.store.groups()
    members = Counter([group async for identity in register.everyone() for group in identity.groups])
    return [group_record(group) | {"member_count": members[group.name]} for group in groups]


async def group_with_members(register: Register, group: Group) -> dict[str, Any]:
    """A group, with who is in it."""
    return group_record(group) | {"members": [str(one.name) for one in await register.members(group.name)]}


async def change_group(
    register: Register,
    name: str,
    roles: Names[RoleName],
    note: str | None,
    members: Names[IdentityName],
    *,
    meets: Callable[[Group], None] | None = None,
) -> Group:
    """Changes a group and who is in it, all of that at once or nothing. None leaves the note as it is.

    `meets` raises if it is not the group that was meant.
    """
    moved = await _moved(register, (await register.group(name)).name, members)
    return await register.change_group(
        name,
        lambda now: replace(
            now,
            roles=roles.over(now.roles, f"group {name} has no role"),
            note=now.note if note is None else parse_remark(note),
        ),
        moved,
        meets=meets,
    )


async def _moved(register: Register, group: GroupName, members: Names[IdentityName]) -> list[Replace]:
    """Who joins and who leaves, as changes of the same transaction."""
    joins, leaves = Edit(groups=Names((group,))), Edit(groups=Names((), (group,)))
    wanted = [*((name, joins) for name in members.gained), *((name, leaves) for name in members.lost)]
    changes: list[Replace] = []
    for name, edit in dict(wanted).items():
        before = await register.get(name)
        after = edit.apply(before)
        changes += [Replace(after)] if after != before else []
    return changes
