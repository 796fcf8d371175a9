"""Commands about roles and their rules."""

from collections.abc import Mapping
from dataclasses import replace

from bartizan.policy.dynsec.fields import Fields, Refused, is_utf8_string
from bartizan.policy.dynsec.state import KINDS, Acl, Role, State, sorted_acls, without
from bartizan.policy.dynsec.step import (
    Addresses,
    Command,
    Step,
    changed_texts,
    page,
    role_name,
    role_of,
    shown_texts,
    texts,
)
from bartizan.policy.imports.levels import is_filter

LEVELS_MAX = 200
"""A filter with more of them is none for Mosquitto."""


def _create(now: State, fields: Fields, _: Addresses) -> Step:
    name = fields.required("rolename", "Invalid/missing rolename")
    if not name:
        raise Refused("Empty rolename")
    if not is_utf8_string(name):
        raise Refused("Role name not valid UTF-8")
    text_name, text_description = texts(fields)
    if not isinstance(fields.values.get("allowwildcardsubs", True), bool):
        raise Refused("Invalid allowwildcardsubs")
    if name in now.roles:
        raise Refused("Role already exists")
    wildcards = fields.flag("allowwildcardsubs", default=True)
    return Step(now.with_role(Role(name, text_name, text_description, wildcards, named_acls(fields) or {})))


def named_acls(fields: Fields) -> Mapping[str, tuple[Acl, ...]] | None:
    """The list `acls` of a command; what is no rule in it is passed over, of two alike the first counts."""
    entries = fields.entries("acls")
    if entries is None:
        return None
    found: dict[str, dict[str, Acl]] = {}
    for entry in entries:
        if not isinstance(entry, Fields):
            continue
        kind, topic = _kind(entry.given("acltype") or ""), entry.given("topic")
        if kind is not None and topic:
            acl = Acl(_checked(topic), entry.priority(0), entry.flag("allow", default=False))
            found.setdefault(kind, {}).setdefault(topic, acl)
    return {kind: sorted_acls(tuple(acls.values())) for kind, acls in found.items()}


def _kind(text: str) -> str | None:
    return next((kind for kind in KINDS if kind.lower() == text.lower()), None)


def _checked(topic: str) -> str:
    if not is_utf8_string(topic):
        raise Refused("Topic not valid UTF-8")
    if not is_filter(topic) or topic.count("/") >= LEVELS_MAX:
        raise Refused("Invalid ACL topic")
    return topic


def _delete(now: State, fields: Fields, _: Addresses) -> Step:
    name = role_of(now, role_name(fields)).name
    return Step(
        replace(
            now,
            roles={other: role for other, role in now.roles.items() if other != name},
            clients={each.name: replace(each, roles=without(each.roles, name)) for each in now.clients.values()},
            groups={each.name: replace(each, roles=without(each.roles, name)) for each in now.groups.values()},
        )
    )


def _modify(now: State, fields: Fields, _: Addresses) -> Step:
    role = role_of(now, role_name(fields), "Role does not exist")
    text_name, text_description = changed_texts(role, fields)
    role = replace(role, text_name=text_name, text_description=text_description)
    role = replace(role, wildcards=fields.flag("allowwildcardsubs", default=role.wildcards))
    acls = named_acls(fields)
    return Step(now.with_role(role if acls is None else replace(role, acls=acls)))


def _rule(now: State, fields: Fields) -> tuple[Role, str, str]:
    """The role, the kind and the topic that a command names."""
    role = role_of(now, role_name(fields))
    kind = _kind(fields.required("acltype", "Invalid/missing acltype"))
    if kind is None:
        raise Refused("Unknown acltype")
    return role, kind, _checked(fields.required("topic", "Invalid/missing topic"))


def _add_acl(now: State, fields: Fields, _: Addresses) -> Step:
    role, kind, topic = _rule(now, fields)
    there = role.acls.get(kind, ())
    if any(acl.topic == topic for acl in there):
        raise Refused("ACL with this topic already exists")
    new = Acl(topic, fields.priority(0), fields.flag("allow", default=False))
    return Step(now.with_role(replace(role, acls={**role.acls, kind: sorted_acls((*there, new))})))


def _remove_acl(now: State, fields: Fields, _: Addresses) -> Step:
    role, kind, topic = _rule(now, fields)
    there = role.acls.get(kind, ())
    rest = tuple(acl for acl in there if acl.topic != topic)
    if rest == there:
        raise Refused("ACL not found")
    return Step(now.with_role(replace(role, acls={**role.acls, kind: rest})))


def _get(now: State, fields: Fields, _: Addresses) -> Step:
    return Step(now, {"role": shown_role(role_of(now, role_name(fields)))})


def _list(now: State, fields: Fields, _: Addresses) -> Step:
    names = page(fields, sorted(now.roles))
    verbose = fields.flag("verbose", default=False)
    roles = [shown_role(now.roles[name]) for name in names] if verbose else names
    return Step(now, {"totalCount": len(now.roles), "roles": roles})


def shown_role(role: Role) -> dict[str, object]:
    """A role as answers and the state file have it."""
    acls = [
        {"acltype": kind, "topic": acl.topic, "priority": acl.priority, "allow": acl.allow}
        for kind in KINDS
        for acl in role.acls.get(kind, ())
    ]
    return {"rolename": role.name, **shown_texts(role), "allowwildcardsubs": role.wildcards, "acls": acls}


COMMANDS: Mapping[str, Command] = {
    "createRole": _create,
    "deleteRole": _delete,
    "getRole": _get,
    "listRoles": _list,
    "modifyRole": _modify,
    "addRoleACL": _add_acl,
    "removeRoleACL": _remove_acl,
}
