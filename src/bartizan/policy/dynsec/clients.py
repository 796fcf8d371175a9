"""Commands about clients."""

from collections.abc import Mapping
from dataclasses import replace

from bartizan.policy.dynsec.fields import Fields, Refused, is_utf8_string
from bartizan.policy.dynsec.state import Client, State, without
from bartizan.policy.dynsec.step import (
    Addresses,
    Command,
    Step,
    changed_texts,
    client_of,
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
    name = fields.required("username", "Invalid/missing username")
    if not name:
        raise Refused("Empty username")
    if not is_utf8_string(name):
        raise Refused("Username not valid UTF-8")
    password = fields.optional("password", "Invalid/missing password")
    client_id = fields.optional("clientid", "Invalid/missing client id")
    if client_id is not None and not is_utf8_string(client_id):
        raise Refused("Client ID not valid UTF-8")
    text_name, text_description = texts(fields)
    if name in now.clients:
        raise Refused("Client already exists")
    roles = named_roles(now, fields) or {}
    client = Client(name, client_id or None, text_name, text_description, roles=roles, is_own=True)
    after = _into_groups(now.with_client(client), name, fields, twice="Internal error")
    return Step(after, password=None if password is None else (name, password))


def _into_groups(now: State, name: str, fields: Fields, *, twice: str = "") -> State:
    """With this client in the groups that a command names; `twice` refuses one that is named again."""
    for entry in fields.entries("groups") or ():
        group_name = entry.given("groupname") if isinstance(entry, Fields) else None
        if group_name is None or not isinstance(entry, Fields):
            continue
        group = group_of(now, group_name)
        if name in group.clients:
            if twice:
                raise Refused(twice)
            continue
        now = now.with_group(replace(group, clients={**group.clients, name: entry.priority()}))
    return now


def _out_of_groups(now: State, name: str) -> State:
    for group in now.groups.values():
        if name in group.clients:
            now = now.with_group(replace(group, clients=without(group.clients, name)))
    return now


def _delete(now: State, fields: Fields, _: Addresses) -> Step:
    name = client_of(now, fields.required("username", "Invalid/missing username")).name
    after = _out_of_groups(now, name)
    kept = {other: client for other, client in after.clients.items() if other != name}
    return Step(replace(after, clients=kept), removed=name)


def _able(*, disabled: bool) -> Command:
    def command(now: State, fields: Fields, _: Addresses) -> Step:
        client = client_of(now, user_name(fields))
        return Step(now.with_client(replace(client, disabled=disabled)))

    return command


def _set_id(now: State, fields: Fields, _: Addresses) -> Step:
    name = user_name(fields)
    client_id = fields.optional("clientid", "Invalid/missing client ID")
    if client_id is not None and not is_utf8_string(client_id):
        raise Refused("Client ID not valid UTF-8")
    return Step(now.with_client(replace(client_of(now, name), client_id=client_id or None)))


def _set_password(now: State, fields: Fields, _: Addresses) -> Step:
    name = user_name(fields)
    password = fields.required("password", "Invalid/missing password")
    if not password:
        raise Refused("Empty password is not allowed")
    return Step(now, password=(client_of(now, name).name, password))


def _modify(now: State, fields: Fields, _: Addresses) -> Step:
    client = client_of(now, user_name(fields))
    client_id, password = fields.given("clientid"), fields.given("password")
    text_name, text_description = changed_texts(client, fields)
    client = replace(client, text_name=text_name, text_description=text_description)
    if client_id is not None:
        client = replace(client, client_id=client_id or None)
    roles = named_roles(now, fields)
    if roles is not None:
        client = replace(client, roles=roles)
    after = now.with_client(client)
    if (groups := fields.entries("groups")) is not None:
        for entry in groups:
            if isinstance(entry, Fields):
                _check_group(now, entry)
        after = _into_groups(_out_of_groups(after, client.name), client.name, fields)
    return Step(after, password=(client.name, password) if password else None)


def _check_group(now: State, entry: Fields) -> None:
    name = entry.given("groupname")
    if name is None:
        raise Refused("'groups' contains an object with an invalid 'groupname'")
    if name not in now.groups:
        raise Refused("'groups' contains an object with a 'groupname' that does not exist")


def _add_role(now: State, fields: Fields, _: Addresses) -> Step:
    name, role = user_name(fields), role_name(fields)
    client = client_of(now, name)
    if role_of(now, role).name in client.roles:
        raise Refused("Internal error")
    return Step(now.with_client(replace(client, roles={**client.roles, role: fields.priority()})))


def _remove_role(now: State, fields: Fields, _: Addresses) -> Step:
    name, role = user_name(fields), role_name(fields)
    client = client_of(now, name)
    return Step(now.with_client(replace(client, roles=without(client.roles, role_of(now, role).name))))


def _get(now: State, fields: Fields, addresses: Addresses) -> Step:
    client = client_of(now, user_name(fields))
    return Step(now, {"client": _shown(now, client, addresses)})


def _list(now: State, fields: Fields, addresses: Addresses) -> Step:
    names = page(fields, sorted(now.clients))
    verbose = fields.flag("verbose", default=False)
    clients = [_shown(now, now.clients[name], addresses) for name in names] if verbose else names
    return Step(now, {"totalCount": len(now.clients), "clients": clients})


def _shown(now: State, client: Client, addresses: Addresses) -> dict[str, object]:
    answer: dict[str, object] = {"username": client.name}
    if client.client_id is not None:
        answer["clientid"] = client.client_id
    answer |= shown_texts(client)
    if client.disabled:
        answer["disabled"] = True
    return answer | {
        "roles": shown(client.roles, "rolename"),
        "groups": shown(now.groups_of(client.name), "groupname"),
        "connections": [{"address": address} for address in addresses.get(client.name, ())],
    }


COMMANDS: Mapping[str, Command] = {
    "createClient": _create,
    "deleteClient": _delete,
    "getClient": _get,
    "listClients": _list,
    "modifyClient": _modify,
    "setClientPassword": _set_password,
    "setClientId": _set_id,
    "addClientRole": _add_role,
    "removeClientRole": _remove_role,
    "enableClient": _able(disabled=False),
    "disableClient": _able(disabled=True),
}
