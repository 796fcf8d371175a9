"""What one command makes: another state, an answer, and what has to be done that no state holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bartizan.policy.dynsec.fields import Fields, Refused
from bartizan.policy.dynsec.state import UNNAMED_PRIORITY, Client, Group, Priorities, Role, State, in_order

Addresses: TypeAlias = Mapping[str, Sequence[str]]
"""From where clients of each name are connected."""


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of a command that was carried out."""

    state: State
    data: Mapping[str, object] | None = None
    """What it answers with; None for a command that only says that it was done."""

    password: tuple[str, str] | None = field(default=None, repr=False)
    """Whose password becomes which."""

    removed: str = ""
    """Which client there is no more."""


Command: TypeAlias = Callable[[State, Fields, Addresses], Step]

ROLES_WRONG = "'roles' not an array or missing/invalid rolename"


def client_of(now: State, name: str) -> Client:
    """The client, or a refusal."""
    if name not in now.clients:
        raise Refused("Client not found")
    return now.clients[name]


def group_of(now: State, name: str) -> Group:
    """The group, or a refusal."""
    if name not in now.groups:
        raise Refused("Group not found")
    return now.groups[name]


def role_of(now: State, name: str, missing: str = "Role not found") -> Role:
    """The role, or a refusal."""
    if name not in now.roles:
        raise Refused(missing)
    return now.roles[name]


def user_name(fields: Fields) -> str:
    """The name of a client."""
    return fields.required("username", "Invalid/missing username", "Username not valid UTF-8")


def group_name(fields: Fields) -> str:
    """The name of a group."""
    return fields.required("groupname", "Invalid/missing groupname", "Group name not valid UTF-8")


def role_name(fields: Fields) -> str:
    """The name of a role."""
    return fields.required("rolename", "Invalid/missing rolename", "Role name not valid UTF-8")


def texts(fields: Fields) -> tuple[str | None, str | None]:
    """The two texts that something is created with."""
    return (
        fields.optional("textname", "Invalid/missing textname"),
        fields.optional("textdescription", "Invalid/missing textdescription"),
    )


def changed_texts(item: Client | Group | Role, fields: Fields) -> tuple[str | None, str | None]:
    """The two texts behind a command that may change them."""
    name, description = fields.given("textname"), fields.given("textdescription")
    return (item.text_name if name is None else name, item.text_description if description is None else description)


def named_roles(now: State, fields: Fields, wrong: str = ROLES_WRONG) -> Priorities | None:
    """The list `roles` of a command; None if there is none. Of two with the same name the first counts."""
    if "roles" not in fields.values:
        return None
    entries = fields.entries("roles")
    if entries is None:
        raise Refused(wrong)
    found: dict[str, int] = {}
    for entry in entries:
        name = entry.given("rolename") if isinstance(entry, Fields) else None
        if name is None or not isinstance(entry, Fields):
            raise Refused(wrong)
        found.setdefault(role_of(now, name).name, entry.priority())
    return found


def shown(priorities: Priorities, key: str) -> list[dict[str, object]]:
    """A list as answers have it: in its order, without priorities that nobody gave."""
    return [
        {key: name} if priorities[name] == UNNAMED_PRIORITY else {key: name, "priority": priorities[name]}
        for name in in_order(priorities)
    ]


def page(fields: Fields, names: Sequence[str]) -> list[str]:
    """The part of a list that is asked for; a count of 0 gives one, as in the plugin."""
    count, offset = fields.whole("count", -1), max(fields.whole("offset", 0), 0)
    return list(names[offset:] if count < 0 else names[offset : offset + max(count, 1)])


def shown_texts(item: Client | Group | Role) -> dict[str, object]:
    """The texts that it has."""
    found = {"textname": item.text_name, "textdescription": item.text_description}
    return {key: text for key, text in found.items() if text is not None}
