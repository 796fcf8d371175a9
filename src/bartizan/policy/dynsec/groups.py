"""Commands about groups, and which of them clients without a user name are in."""

from collections.abc import Mapping
from dataclasses import replace

from bartizan.policy.dynsec.fields import Fields, Refused, is_utf8_string
from bartizan.policy.dynsec.state import Group, Priorities, State, without
from bartizan.policy.dynsec.step import (
    Addresses,
    Command,
    Step,
    changed_texts,
    client_of,
    group_name,
    group_of,
    named_roles,
    page,
    role_name,
    role_of,
    shown,
    shown_texts,
    texts,
    user_name,
)


def _create(now: State, fields: Fields, _: Addresses) -> Step:
    name = fields.required("groupname", "Invalid/missing groupname")
    if not name:
        raise Refused("Empty groupname")
    if not is_utf8_string(name):
        raise Refused("Group name not valid UTF-8")
    text_name, text_description = texts(fields)
    if name in now.groups:
        raise Refused("Group already exists")
    roles = named_roles(now, fields, wrong="Internal error") or {}
    return Step(now.with_group(Group(name, text_name, text_description, roles)))


def _delete(now: State, fields: Fields, _: Addresses) -> Step:
    name = group_of(now, group_name(fields)).name
    if name == now.anonymous_group:
        raise Refused("Deleting the anonymous group is forbidden")
    return Step(replace(now, groups={other: group for other, group in now.groups.items() if other != name}))


def _modify(now: State, fields: Fields, _: Addresses) -> Step:
    group = group_of(now, group_name(fields))
    text_name, text_description = changed_texts(group, fields)
    group = replace(group, text_name=text_name, text_description=text_description)
    roles = named_roles(now, fields)
    if roles is not None:
        group = replace(group, roles=roles)
    clients = _named_clients(now, fields)
    if clients is not None:
        group = replace(group, clients=clients)
    return Step(now.with_group(group))


def _named_clients(now: State, fields: Fields) -> Priorities | None:
    entries = fields.entries("clients")
    if entries is None:
        return None
    found: dict[str, int] = {}
    for entry in entries:
        if not isinstance(entry, Fields):
            continue
        name = entry.given("username")
        if name is None:
            raise Refused("'clients' contains an object with an invalid 'username'")
        if name not in now.clients:
            raise Refused("'clients' contains an object with a 'username' that does not exist")
        found.setdefault(name, entry.priority())
    return found


def _add_client(now: State, fields: Fields, _: Addresses) -> Step:
    name, named = user_name(fields), group_name(fields)
    client_of(now, name)
    group = group_of(now, named)
    if name in group.clients:
        raise Refused("Client is already in this group")
    return Step(now.with_group(replace(group, clients={**group.clients, name: fields.priority()})))


def _remove_client(now: State, fields: Fields, _: Addresses) -> Step:
    name, named = user_name(fields), group_name(fields)
    client_of(now, name)
    group = group_of(now, named)
    return Step(now.with_group(replace(group, clients=without(group.clients, name))))


def _add_role(now: State, fields: Fields, _: Addresses) -> Step:
    named, role = group_name(fields), role_name(fields)
    group = group_of(now, named)
    if role_of(now, role).name in group.roles:
        raise Refused("Group is already in this role")
    return Step(now.with_group(replace(group, roles={**group.roles, role: fields.priority()})))


def _remove_role(now: State, fields: Fields, _: Addresses) -> Step:
    named, role = group_name(fields), role_name(fields)
    group = group_of(now, named)
    return Step(now.with_group(replace(group, roles=without(group.roles, role_of(now, role).name))))


def _get(now: State, fields: Fields, _: Addresses) -> Step:
    return Step(now, {"group": _shown(group_of(now, group_name(fields)))})


def _list(now: State, fields: Fields, _: Addresses) -> Step:
    names = page(fields, sorted(now.groups))
    verbose = fields.flag("verbose", default=False)
    groups = [_shown(now.groups[name]) for name in names] if verbose else names
    return Step(now, {"totalCount": len(now.groups), "groups": groups})


def _shown(group: Group) -> dict[str, object]:
    # In the list of a group clients stand by name, and without their priorities.
    clients = [{"username": name} for name in sorted(group.clients)]
    return (
        {"groupname": group.name} | shown_texts(group) | {"clients": clients, "roles": shown(group.roles, "rolename")}
    )


def _set_anonymous(now: State, fields: Fields, _: Addresses) -> Step:
    return Step(replace(now, anonymous_group=group_of(now, group_name(fields)).name))


def _get_anonymous(now: State, _fields: Fields, _: Addresses) -> Step:
    return Step(now, {"group": {"groupname": now.anonymous_group or ""}})


COMMANDS: Mapping[str, Command] = {
    "createGroup": _create,
    "deleteGroup": _delete,
    "getGroup": _get,
    "listGroups": _list,
    "modifyGroup": _modify,
    "addGroupClient": _add_client,
    "removeGroupClient": _remove_client,
    "addGroupRole": _add_role,
    "removeGroupRole": _remove_role,
    "setAnonymousGroup": _set_anonymous,
    "getAnonymousGroup": _get_anonymous,
}
