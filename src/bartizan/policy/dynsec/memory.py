"""A state <-> the file of the policy that it is: what only the commands know stands in its comments, line by line.

So a state goes wherever its policy goes: on record, into another version, back with a rollback. Rules and state
cannot say different things: what is read is written again and has to be the same.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.policy.dynsec.fields import Fields, NotJsonError, read_json
from bartizan.policy.dynsec.roles import named_acls, shown_role
from bartizan.policy.dynsec.state import DEFAULT_KINDS, Client, Group, Priorities, Role, State, in_order
from bartizan.policy.dynsec.step import shown, shown_texts
from bartizan.policy.dynsec.translation import Translation, translated
from bartizan.policy.writer import policy_text

FILE: Final = "dynsec.toml"
_HEADING = "Written by `bartizan dynsec`: change it by commands of dynamic security, not by hand."
_BEGINS = '# {"'


def written(state: State, *, anonymous: bool = False) -> tuple[str, Translation]:
    """The file of this state, and its policy."""
    policy = translated(state, anonymous=anonymous)
    lines = [json.dumps(line) for line in _lines(state)]
    return policy_text(policy.roles, heading=[_HEADING, *lines]), policy


def _lines(state: State) -> Iterator[Mapping[str, object]]:
    whole: dict[str, object] = {"defaultACLAccess": dict(state.defaults), "changeIndex": state.changes}
    if state.anonymous_group is not None:
        whole["anonymousGroup"] = state.anonymous_group
    yield whole
    for _, role in sorted(state.roles.items()):
        yield {"role": shown_role(role)}
    for name, group in sorted(state.groups.items()):
        lists = {"roles": shown(group.roles, "rolename"), "clients": shown(group.clients, "username")}
        yield {"group": {"groupname": name, **shown_texts(group), **lists}}
    for name, client in sorted(state.clients.items()):
        if client.is_remembered:
            body: dict[str, object] = {"username": name, **shown_texts(client), "own": client.is_own}
            if client.client_id is not None:
                body["clientid"] = client.client_id
            yield {"client": body | {"roles": shown(client.roles, "rolename")}}


def remembered(text: str) -> State:
    """The state that a file was written of; `InvalidValue` if it was written by somebody else."""
    state = State({}, {}, {}, dict.fromkeys(DEFAULT_KINDS, False))
    for line in text.splitlines():
        if line.startswith(_BEGINS):
            try:
                read = read_json(line.removeprefix("# ").encode())
            except NotJsonError:
                read = None
            if not isinstance(read, Fields):
                raise InvalidValue(f"{FILE} was changed by hand")
            state = _with(state, read)
    # Who is in a group and has nothing else is remembered by the group.
    members = {name for group in state.groups.values() for name in group.clients} - state.clients.keys()
    return replace(state, clients={**state.clients, **{name: Client(name) for name in sorted(members)}})


def _with(state: State, line: Fields) -> State:
    match next(iter(line.values.items())):
        case "role", Fields() as body:
            return state.with_role(role_from(body))
        case "group", Fields() as body:
            return state.with_group(group_from(body))
        case "client", Fields() as body:
            return state.with_client(client_from(body))
        case "defaultaclaccess", Fields() as body:
            defaults = {kind: body.flag(kind.lower(), default=False) for kind in DEFAULT_KINDS}
            anonymous, changes = line.given("anonymousgroup"), line.whole("changeindex", 0)
            return replace(state, defaults=defaults, anonymous_group=anonymous, changes=changes)
        case _:
            raise InvalidValue(f"{FILE} was changed by hand")


def role_from(body: Fields) -> Role:
    """A role as answers have it."""
    wildcards = body.flag("allowwildcardsubs", default=True)
    texts = (body.given("textname"), body.given("textdescription"))
    return Role(body.given("rolename") or "", *texts, wildcards, named_acls(body) or {})


def group_from(body: Fields) -> Group:
    """A group, with the priorities of who is in it."""
    texts = (body.given("textname"), body.given("textdescription"))
    return Group(
        body.given("groupname") or "",
        *texts,
        _priorities(body, "roles", "rolename"),
        _priorities(body, "clients", "username"),
    )


def client_from(body: Fields) -> Client:
    """A client without its groups."""
    return Client(
        body.given("username") or "",
        body.given("clientid"),
        body.given("textname"),
        body.given("textdescription"),
        roles=_priorities(body, "roles", "rolename"),
        is_own=body.flag("own", default=False),
    )


def _priorities(body: Fields, key: str, name: str) -> Priorities:
    entries = [entry for entry in body.entries(key) or () if isinstance(entry, Fields)]
    found = {entry.given(name) or "": entry.priority() for entry in entries}
    return {each: found[each] for each in in_order(found)}


def joined(state: State, identities: Mapping[str, bool]) -> State:
    """The state with the identities that there are, and whether each is disabled: the others are forgotten."""
    clients = {
        name: replace(state.clients.get(name, Client(name)), disabled=disabled) for name, disabled in identities.items()
    }
    groups = {
        group.name: replace(group, clients={name: at for name, at in group.clients.items() if name in identities})
        for group in state.groups.values()
    }
    return replace(state, clients=clients, groups=groups)
