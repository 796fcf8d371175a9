"""`bartizan role`: the roles of the policy, and who has each: by itself, or through which group."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.reading import check_files, refusal
from bartizan.cli.groups_there import hold_there, role_there, roles_there
from bartizan.cli.listing import Config, Data, Json, Listing, Words, print_json, print_rows
from bartizan.cli.opening import DEFAULT_DATA, existing, register_of, settings_of
from bartizan.cli.remote import Server
from bartizan.errors import InvalidValue
from bartizan.identity.edit import Names
from bartizan.identity.roles import change_holders, granted, role_with_holders, roles_with_holders
from bartizan.model.ids import RoleName
from bartizan.model.principal import ANONYMOUS_ROLE

app = App(name="role", help="Show the policy's roles and who has them; grant or revoke them.")

Holders = Annotated[list[str] | None, Parameter(consume_multiple=True, show_default=False)]

_COLUMNS = {"role": "role", "in_policy": "in the policy", "identity_count": "identities", "groups": "groups"}
_HOLDERS = {"identity": "identity", "through": "through"}


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False) -> int:
    """List the roles of the policy, and those that somebody has though the policy lacks them.

    For example:

        bartizan role list
    """
    found = asyncio.run(_gather(data, config)) if server is None else roles_there(server)
    print_rows(found, _COLUMNS, "roles", as_json=json_output)
    return 0


@app.command
def show(
    role: str, /, *, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False
) -> int:
    """Show who has a role: by itself, or through which group.

    For example:

        bartizan role show operator

    Parameters
    ----------
    role
        The role.
    """
    record = asyncio.run(_show(data, config, role)) if server is None else role_there(server, role)
    if json_output:
        print_json(record)
        return 0
    holders: list[dict[str, Any]] = record["holders"]
    listing = Listing(_HOLDERS, f"identities have {role}", as_json=False)
    for holder in holders:
        listing.add(holder)
    listing.end()
    if not record["in_policy"]:
        print("the policy has no such role: it grants nothing")
    return 0


@app.command
def grant(
    role: str,
    names: Holders = None,
    /,
    *,
    group: Words = (),
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Give a role of the policy to identities and groups, all of them or none.

    For example:

        bartizan role grant operator press-01 press-02

        bartizan role grant reader --group line-3

    Parameters
    ----------
    role
        The role.
    names
        The identities.
    group
        A group whose members get it; may be given several times.
    """
    holders = _holders(names or [], group)
    if server is None:
        asyncio.run(_write(data, config, granted(role, _in_policy(data, config)), *holders))
    else:
        hold_there(server, role, *holders, gains=True)
    return _tell(holders, f"{role} is granted", as_json=json_output)


@app.command
def revoke(
    role: str,
    names: Holders = None,
    /,
    *,
    group: Words = (),
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Take a role from identities and groups, all of them or none. It holds for live connections too.

    For example:

        bartizan role revoke operator press-01

    Parameters
    ----------
    role
        The role.
    names
        The identities.
    group
        A group whose members lose it; may be given several times.
    """
    holders = _holders(names or [], group)
    if server is None:
        asyncio.run(_write(data, config, Names.parse(RoleName, [], [role]), *holders))
    else:
        hold_there(server, role, *holders, gains=False)
    return _tell(holders, f"{role} is revoked", as_json=json_output)


def _in_policy(data: Path, config: Path | None) -> set[str]:
    directory = existing(data)
    named = settings_of(directory, config).policy.file or directory.policy
    result = check_files(named)
    if result.policy is None:
        raise refusal(result, named)
    return {role.name for role in result.policy.roles} | {ANONYMOUS_ROLE}


def _holders(names: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[str]]:
    if not names and not groups:
        raise InvalidValue("name an identity, or a group with --group")
    return list(dict.fromkeys(names)), list(dict.fromkeys(groups))


def _tell(holders: tuple[Sequence[str], Sequence[str]], what: str, *, as_json: bool) -> int:
    names, groups = holders
    if as_json:
        print_json({"identities": names, "groups": groups})
    else:
        print(f"{what}: {', '.join([*names, *(f'group {group}' for group in groups)])}")
    return 0


async def _write(
    data: Path, config: Path | None, change: Names[RoleName], names: Sequence[str], groups: Sequence[str]
) -> None:
    async with register_of(data, config) as register:
        await change_holders(register, change, names, groups)


async def _gather(data: Path, config: Path | None) -> list[dict[str, Any]]:
    in_policy = _in_policy(data, config)
    async with register_of(data, config) as register:
        return await roles_with_holders(register, in_policy)


async def _show(data: Path, config: Path | None, role: str) -> dict[str, Any]:
    in_policy = _in_policy(data, config)
    async with register_of(data, config) as register:
        return await role_with_holders(register, role, in_policy)
