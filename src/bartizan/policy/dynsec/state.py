"""What the commands are about: clients, groups, roles with their rules, defaults. Frozen; each command makes another."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

KINDS: Final = (
    "publishClientSend",
    "publishClientReceive",
    "subscribeLiteral",
    "subscribePattern",
    "unsubscribeLiteral",
    "unsubscribePattern",
)
"""What a rule may be about, in the order in which the plugin shows them."""

DEFAULT_KINDS: Final = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")

UNNAMED_PRIORITY: Final = -1
"""A priority that nobody gave, and that no answer shows."""

Priorities = Mapping[str, int]
"""Names with the priority of each."""


def _nothing() -> Priorities:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Acl:
    """One rule of a role."""

    topic: str
    priority: int
    allow: bool


def _no_acls() -> Mapping[str, tuple[Acl, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Role:
    """A role, with its rules by kind in the order in which they are tried."""

    name: str
    text_name: str | None = None
    text_description: str | None = None
    wildcards: bool = True
    acls: Mapping[str, tuple[Acl, ...]] = field(default_factory=_no_acls)


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its roles, and who is in it."""

    name: str
    text_name: str | None = None
    text_description: str | None = None
    roles: Priorities = field(default_factory=_nothing)
    clients: Priorities = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Client:
    """Who may connect. Its password is kept elsewhere, and never here."""

    name: str
    client_id: str | None = None
    text_name: str | None = None
    text_description: str | None = None
    disabled: bool = False
    roles: Priorities = field(default_factory=_nothing)
    is_own: bool = False
    """True if a command made it. Other identities are shown as clients too, and defaults are not about them."""

    @property
    def is_remembered(self) -> bool:
        """True if there is something to remember of it."""
        return replace(self, disabled=False) != Client(self.name)


@dataclass(frozen=True, slots=True)
class State:
    """All of it."""

    clients: Mapping[str, Client]
    groups: Mapping[str, Group]
    roles: Mapping[str, Role]
    defaults: Mapping[str, bool]
    anonymous_group: str | None = None
    changes: int = 0
    """How many changes there were: the plugin's `changeIndex`."""

    def with_client(self, client: Client) -> "State":
        """With this client in place of the one of its name."""
        return replace(self, clients={**self.clients, client.name: client})

    def with_group(self, group: Group) -> "State":
        """With this group in place of the one of its name."""
        return replace(self, groups={**self.groups, group.name: group})

    def with_role(self, role: Role) -> "State":
        """With this role in place of the one of its name."""
        return replace(self, roles={**self.roles, role.name: role})

    @property
    def remembered(self) -> frozenset[str]:
        """The clients that rules and defaults are about."""
        own = {client.name for client in self.clients.values() if client.is_remembered}
        return frozenset(own.union(*(group.clients for group in self.groups.values())) & self.clients.keys())

    def groups_of(self, client: str) -> Priorities:
        """The groups that it is in."""
        return {group.name: group.clients[client] for group in self.groups.values() if client in group.clients}


def in_order(priorities: Priorities) -> list[str]:
    """Names by their priority, and by name where that is the same: the order in which they are tried."""
    return sorted(priorities, key=lambda name: (-priorities[name], name))


def without(priorities: Priorities, name: str) -> Priorities:
    """The same without one name."""
    return {other: priority for other, priority in priorities.items() if other != name}


def sorted_acls(acls: tuple[Acl, ...]) -> tuple[Acl, ...]:
    """Rules by their priority; of equal ones, that which came first."""
    return tuple(sorted(acls, key=lambda acl: -acl.priority))


def first_state(*, receive: bool) -> State:
    """What a plant begins with: the roles that the plugin makes, and nobody who has one."""
    both = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")
    reading = ("publishClientReceive", "subscribePattern")
    roles = (
        _role("broker-admin", "Grants access to administer general broker configuration.", both, "$CONTROL/broker/#"),
        _role("client", "Read/write access to the full application topic hierarchy.", both, "#"),
        _role("dynsec-admin", "Grants access to administer clients/groups/roles.", both, "$CONTROL/dynamic-security/#"),
        _role("super-admin", "Grants access to administer all kind of broker controls", both, "$CONTROL/#"),
        _role(
            "sys-notify",
            "Allow bridges to publish connection state messages.",
            ("publishClientSend",),
            "$SYS/broker/connection/%c/state",
        ),
        _role("sys-observe", "Observe the $SYS topic hierarchy.", reading, "$SYS/#"),
        _role(
            "topic-observe",
            "Read only access to the full application topic hierarchy.",
            (*reading, "unsubscribePattern"),
            "#",
        ),
    )
    defaults = {"publishClientSend": False, "publishClientReceive": receive, "subscribe": False, "unsubscribe": True}
    return State({}, {}, {role.name: role for role in roles}, defaults)


def _role(name: str, description: str, kinds: tuple[str, ...], topic: str) -> Role:
    return Role(name, text_description=description, acls={kind: (Acl(topic, 0, allow=True),) for kind in kinds})
