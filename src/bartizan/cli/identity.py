"""`bartizan identity`: who exists. A running broker follows every change within a second."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.cli.duration import parse_duration
from bartizan.cli.identity_csv import export, import_
from bartizan.cli.identity_there import add_there, change_there, list_there, remove_there, show_there
from bartizan.cli.listing import (
    Config,
    Data,
    Json,
    Listing,
    Text,
    Words,
    ends_at,
    print_json,
    show_record,
    show_table,
)
from bartizan.cli.opening import DEFAULT_DATA, register_of
from bartizan.cli.person import operator
from bartizan.cli.remote import Server
from bartizan.identity.edit import Edit, Names
from bartizan.identity.listing import Wanted, listed, shown
from bartizan.identity.records import identity_record
from bartizan.identity.register import new_identity
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName, parse_attribute
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.ports import Remove

app = App(name="identity", help="Show, add, change, remove, import or export identities.")
app.command(import_, name="import")
app.command(export)

For = Annotated[
    str | None,
    Parameter(
        name="--for",
        show_default=False,
        help="How long it stays quarantined, such as 2d. Default: until it is enabled.",
    ),
]
Reason = Annotated[str, Parameter(show_default=False, help="Why it is quarantined.")]
Ticket = Annotated[str, Parameter(show_default=False, help="Where the matter is kept, such as INC-4711.")]
Gained = Annotated[Words, Parameter(help="A role to gain; may be given several times.")]
Lost = Annotated[Words, Parameter(help="A role to lose; may be given several times.")]
Joined = Annotated[Words, Parameter(help="A group to join; may be given several times.")]
Left = Annotated[Words, Parameter(help="A group to leave; may be given several times.")]

_LIST = {
    "identity": "identity",
    "state": "state",
    "all_roles": "roles",
    "groups": "groups",
    "owner": "owner",
    "last_seen_at": "last seen",
}
_SHOW = {
    "identity": "identity",
    "state": "state",
    "quarantined_until": "until",
    "quarantine_reason": "because",
    "quarantine_ticket": "ticket",
    "quarantined_by": "by",
    "roles": "roles",
    "groups": "groups",
    "all_roles": "acts as",
    "attributes": "attributes",
    "owner": "owner",
    "note": "note",
    "created_at": "created",
    "last_seen_at": "last seen",
    "last_seen_from": "from",
}
_CREDENTIALS = {
    "id": "credential",
    "kind": "kind",
    "created_at": "created",
    "ends_at": "ends",
    "last_used_at": "last used",
    "note": "note",
}


@app.command(name="list")
def list_(
    match: str = "*",
    /,
    *,
    role: Text = None,
    group: Text = None,
    state: IdentityState | None = None,
    idle: Text = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List identities, in order of name.

    For example:

        bartizan identity list

        bartizan identity list 'press-*' --role operator --idle 30d --json

    Parameters
    ----------
    match
        Only names that fit this pattern; * and ? stand for any characters.
    role
        Only those that have this role, by themselves or by a group.
    group
        Only members of this group.
    state
        Only those in this state.
    idle
        Only those not seen for so long, such as 30d.
    """
    not_since = None if idle is None else datetime.now(UTC) - parse_duration(idle)
    listing = Listing(_LIST, "identities", as_json=json_output)
    wanted = Wanted(match, role, group, state, not_since)
    if server is None:
        asyncio.run(_gather(data, config, wanted, listing))
    else:
        list_there(server, wanted, listing)
    listing.end()
    return 0


@app.command
def show(
    name: str,
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show an identity with its credentials and when it was last seen. No secret is shown.

    For example:

        bartizan identity show press-01

    Parameters
    ----------
    name
        The identity.
    """
    record = asyncio.run(_show(data, config, name)) if server is None else show_there(server, name)
    if json_output:
        print_json(record)
        return 0
    show_record(record, _SHOW)
    credentials: list[dict[str, Any]] = record["credentials"]
    if credentials:
        print()
        show_table(credentials, _CREDENTIALS, f"{len(credentials)} credentials")
    return 0


@app.command
def add(
    name: str,
    /,
    *,
    role: Words = (),
    group: Words = (),
    attr: Words = (),
    owner: Annotated[str, Parameter(show_default=False)] = "",
    note: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Add an identity that nothing proves yet: for one that a token or another directory proves.

    `bartizan enrol` adds one with a certificate or a password, `bartizan credential rotate` gives it one later.

    For example:

        bartizan identity add press-07 --group line-3 --attr site=chicago --owner maintenance@plant.example

    Parameters
    ----------
    name
        The identity's name. Its client ids are this name, or begin with it and a '-'.
    role
        A role of the policy; may be given several times.
    group
        A group whose roles it has too; may be given several times.
    attr
        An attribute, NAME=VALUE, that the policy may use; may be given several times.
    owner
        Whom to ask about it.
    note
        A remark kept with the identity.
    """
    at = datetime.now(UTC)
    attributes = {str(key): value for key, value in map(parse_attribute, attr)}
    made = new_identity(name, at=at, roles=role, groups=group, attributes=attributes, owner=owner, note=note)
    if server is None:
        asyncio.run(_add(data, config, made))
    told = _record(made) if server is None else add_there(server, made)
    return _tell(told, f"{name} is added", as_json=json_output)


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    add_role: Gained = (),
    remove_role: Lost = (),
    add_group: Joined = (),
    remove_group: Left = (),
    attr: Words = (),
    remove_attr: Words = (),
    owner: Text = None,
    note: Text = None,
    state: IdentityState | None = None,
    for_: For = None,
    reason: Reason = "",
    ticket: Ticket = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Change an identity. What is not named stays. Connections that it may no longer have end.

    For example:

        bartizan identity set press-01 --add-role operator --attr site=berlin

        bartizan identity set press-01 --state quarantined --for 2d --reason "published what it never did"

    Parameters
    ----------
    name
        The identity.
    attr
        An attribute to set, NAME=VALUE; may be given several times.
    remove_attr
        An attribute to remove.
    owner
        Whom to ask about it; "" removes it.
    note
        A remark; "" removes it.
    state
        Enabled and quarantined identities may connect, the latter in the role `quarantine` alone.
    """
    edit = Edit(
        roles=Names.parse(RoleName, add_role, remove_role),
        groups=Names.parse(GroupName, add_group, remove_group),
        attributes=tuple(map(parse_attribute, attr)),
        attributes_removed=tuple(map(AttributeName.parse, remove_attr)),
        owner=owner,
        note=note,
        state=state,
        quarantined_until=None if for_ is None else datetime.now(UTC) + parse_duration(for_),
        quarantine_reason=reason,
        quarantine_ticket=ticket,
        by=operator(),
    )
    told = change_there(server, name, edit) if server else asyncio.run(_change(data, config, name, edit))
    return _tell(told, f"{name} is changed", as_json=json_output)


@app.command
def remove(
    names: Annotated[list[str], Parameter(consume_multiple=True)],
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Remove identities. Their connections end, their credentials prove nothing.

    All of those named or none; with --server one after the other, up to the first that cannot be removed.

    For example:

        bartizan identity remove press-01 press-02

    Parameters
    ----------
    names
        The identities.
    """
    every = list(dict.fromkeys(names))
    if server is None:
        asyncio.run(_remove(data, config, every))
    else:
        remove_there(server, every)
    if json_output:
        print_json({"removed": names})
    else:
        print(f"{', '.join(names)}: removed")
    return 0


def _tell(record: Mapping[str, Any], what: str, *, as_json: bool) -> int:
    if as_json:
        print_json(record)
    else:
        print(what)
    return 0


def _record(identity: Identity) -> dict[str, Any]:
    return identity_record(identity, at=datetime.now(UTC))


async def _gather(data: Path, config: Path | None, wanted: Wanted, listing: Listing) -> None:
    async with register_of(data, config) as register:
        async for record in listed(register, wanted, at=datetime.now(UTC)):
            listing.add(record)


async def _show(data: Path, config: Path | None, name: str) -> dict[str, Any]:
    async with register_of(data, config) as register:
        identity = await register.get(name)
        record = await shown(register, identity, at=datetime.now(UTC))
    ends = {item.id: ends_at(item) for item in identity.credentials}
    return record | {"credentials": [item | {"ends_at": ends[item["id"]]} for item in record["credentials"]]}


async def _add(data: Path, config: Path | None, identity: Identity) -> None:
    async with register_of(data, config) as register:
        await register.add(identity)


async def _change(data: Path, config: Path | None, name: str, edit: Edit) -> dict[str, Any]:
    async with register_of(data, config) as register:
        return _record(await register.change(name, edit.apply))


async def _remove(data: Path, config: Path | None, names: Sequence[str]) -> None:
    async with register_of(data, config) as register:
        await register.store.commit([Remove(IdentityName(name)) for name in names])
