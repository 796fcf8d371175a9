"""`bartizan group`: who is in a group has its roles. A running broker follows every change within a second."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.cli.groups_there import (
    add_group_there,
    change_group_there,
    group_there,
    groups_there,
    remove_group_there,
)
from bartizan.cli.listing import Config, Data, Flag, Json, Text, Words, print_json, show_record, show_table
from bartizan.cli.opening import DEFAULT_DATA, register_of
from bartizan.cli.remote import Server
from bartizan.errors import Conflict
from bartizan.identity.edit import Names
from bartizan.identity.groups import change_group, group_with_members, groups_with_sizes
from bartizan.identity.records import group_record
from bartizan.identity.register import new_group
from bartizan.model.group import Group
from bartizan.model.ids import IdentityName, RoleName

app = App(name="group", help="Show, add, change or remove groups: who is in one has its roles.")

_COLUMNS = {"group": "group", "roles": "roles", "member_count": "members", "note": "note"}
_SHOW = {"group": "group", "roles": "roles", "note": "note", "created_at": "created", "members": "members"}


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False) -> int:
    """List groups with their roles and how many are in each.

    For example:

        bartizan group list
    """
    found = asyncio.run(_gather(data, config)) if server is None else groups_there(server)
    if json_output:
        print_json(found)
    else:
        show_table(found, _COLUMNS, f"{len(found)} groups")
    return 0


@app.command
def show(
    name: str, /, *, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False
) -> int:
    """Show a group and who is in it.

    For example:

        bartizan group show line-3

    Parameters
    ----------
    name
        The group.
    """
    record = asyncio.run(_show(data, config, name)) if server is None else group_there(server, name)
    if json_output:
        print_json(record)
    else:
        show_record(record, _SHOW)
    return 0


@app.command
def add(
    name: str,
    /,
    *,
    role: Words = (),
    note: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Add a group, with nobody in it.

    For example:

        bartizan group add line-3 --role press --role reader

    Parameters
    ----------
    name
        The group's name: a lower-case letter, then letters, digits, '_' or '-'.
    role
        A role that its members have; may be given several times.
    note
        A remark kept with the group.
    """
    made = new_group(name, at=datetime.now(UTC), roles=role, note=note)
    if server is None:
        asyncio.run(_add(data, config, made))
    told = group_record(made) if server is None else add_group_there(server, made)
    _tell(told, f"group {name} is added", as_json=json_output)
    return 0


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    add_role: Words = (),
    remove_role: Words = (),
    add_member: Words = (),
    remove_member: Words = (),
    note: Text = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Change a group and who is in it, all of that at once or nothing. What is not named stays.

    For example:

        bartizan group set line-3 --add-member press-01 --add-member press-02

        bartizan group set line-3 --remove-role reader

    Parameters
    ----------
    name
        The group.
    add_role
        A role for its members; may be given several times, as all that follow.
    remove_role
        A role that its members lose.
    add_member
        An identity to take in.
    remove_member
        An identity to take out.
    note
        A remark; "" removes it.
    """
    roles = Names.parse(RoleName, add_role, remove_role)
    members = Names.parse(IdentityName, add_member, remove_member)
    if server is None:
        told = group_record(asyncio.run(_change(data, config, name, roles, note, members)))
    else:
        told = change_group_there(server, name, roles, note, members)
    _tell(told, f"group {name} is changed", as_json=json_output)
    return 0


@app.command
def remove(
    name: str,
    /,
    *,
    with_members: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Remove a group. Its members stay, and lose the roles that they had by it.

    For example:

        bartizan group remove line-3

        bartizan group remove line-3 --with-members

    Parameters
    ----------
    name
        The group.
    with_members
        Take its members out of it first; without it, a group that is not empty is not removed.
    """
    if server is None:
        members = asyncio.run(_remove(data, config, name, with_members=with_members))
    else:
        members = remove_group_there(server, name, with_members=with_members)
    if json_output:
        print_json({"removed": name, "members": members})
    else:
        print(f"group {name} is removed" + (f"; {members} were in it" if members else ""))
    return 0


def _tell(record: Mapping[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
    else:
        print(what)


async def _gather(data: Path, config: Path | None) -> list[dict[str, Any]]:
    async with register_of(data, config) as register:
        return await groups_with_sizes(register)


async def _show(data: Path, config: Path | None, name: str) -> dict[str, Any]:
    async with register_of(data, config) as register:
        return await group_with_members(register, await register.group(name))


async def _add(data: Path, config: Path | None, group: Group) -> None:
    async with register_of(data, config) as register:
        await register.add_group(group)


async def _change(
    data: Path,
    config: Path | None,
    name: str,
    roles: Names[RoleName],
    note: str | None,
    members: Names[IdentityName],
) -> Group:
    async with register_of(data, config) as register:
        return await change_group(register, name, roles, note, members)


async def _remove(data: Path, config: Path | None, name: str, *, with_members: bool) -> int:
    async with register_of(data, config) as register:
        try:
            return await register.remove_group(name, with_members=with_members)
        except Conflict as conflict:
            raise Conflict(f"{conflict}: --with-members takes them out of it") from None
