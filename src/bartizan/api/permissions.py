"""What may be done at the API, and which roles may do it: the whole table. What is not in it, nobody may."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from bartizan.model.operator import OperatorRole


class Permission(StrEnum):
    """What a route asks for. Every route names exactly one."""

    ANYONE = "anyone"
    """No login: logging in itself, what the API is, and whether the broker is alive."""
    SELF = "self"
    """A login, whatever its roles: about oneself."""
    LOOK = "look"
    """Clients and identities: of an operator of one tenant, those of that one."""
    LOOK_ALL = "look-all"
    """What no tenant has for itself: policy, roles, groups, listeners, metrics, topics."""
    DISCONNECT = "disconnect"
    TRACE = "trace"
    """Packets of a client as they pass, without what the messages say."""
    PAYLOADS = "payloads"
    """What messages say."""
    CLEAR = "clear"
    """Retained Messages, removed."""
    ENROL = "enrol"
    """Identities: added, annotated, enabled, disabled, quarantined."""
    GRANT = "grant"
    """Roles and groups of an identity: what it may do. Removing identities."""
    GROUPS = "groups"
    """Groups, and who is in; roles given to many at once."""
    PROVE = "prove"
    """Credentials: rotated and revoked."""
    REVOKE = "revoke"
    """Identities, for ever: one, or everybody who fits."""
    BAN = "ban"
    """Who may not connect, whatever proves it."""
    FINDINGS = "findings"
    """What was found: acknowledged, muted for a while."""
    RESPOND = "respond"
    """What playbooks wait to do: confirmed or dismissed. Runbooks, run."""
    STAGE = "stage"
    """A policy beside the one in force: it decides nothing."""
    POLICY = "policy"
    """Another policy in force."""
    AUDIT = "audit"
    """The record of changes and events: read, verified, exported."""
    APPROVE = "approve"
    """What another operator asked for, where it takes two."""
    SETTINGS = "settings"
    """The configuration, read."""
    RELOAD = "reload"
    OPERATORS_LOOK = "operators-look"
    OPERATORS = "operators"
    """Operators: who runs the broker."""


_V, _O, _S, _A = OperatorRole.VIEWER, OperatorRole.OPERATOR, OperatorRole.SECURITY, OperatorRole.ADMIN

ROLES: Mapping[Permission, frozenset[OperatorRole]] = MappingProxyType(
    {
        Permission.LOOK: frozenset({_V, _O, _S, _A}),
        Permission.LOOK_ALL: frozenset({_V, _O, _S, _A}),
        Permission.DISCONNECT: frozenset({_O, _S}),
        Permission.TRACE: frozenset({_O, _S}),
        Permission.PAYLOADS: frozenset({_S}),
        Permission.CLEAR: frozenset({_S}),
        Permission.ENROL: frozenset({_O, _S}),
        Permission.GRANT: frozenset({_S}),
        Permission.GROUPS: frozenset({_S}),
        Permission.PROVE: frozenset({_S}),
        Permission.REVOKE: frozenset({_S}),
        Permission.BAN: frozenset({_S}),
        Permission.FINDINGS: frozenset({_O, _S}),
        Permission.RESPOND: frozenset({_O, _S}),
        Permission.STAGE: frozenset({_S}),
        Permission.POLICY: frozenset({_S}),
        Permission.AUDIT: frozenset({_S, _A}),
        Permission.APPROVE: frozenset({_S, _A}),
        Permission.SETTINGS: frozenset({_S, _A}),
        Permission.RELOAD: frozenset({_A}),
        Permission.OPERATORS_LOOK: frozenset({_S, _A}),
        Permission.OPERATORS: frozenset({_A}),
    }
)
"""Which roles have a permission. `ANYONE` and `SELF` ask for none."""

WHOLE = frozenset(
    {
        Permission.LOOK_ALL,
        Permission.PAYLOADS,
        Permission.CLEAR,
        Permission.GROUPS,
        Permission.BAN,
        Permission.FINDINGS,
        Permission.RESPOND,
        Permission.STAGE,
        Permission.POLICY,
        Permission.AUDIT,
        Permission.APPROVE,
        Permission.SETTINGS,
        Permission.RELOAD,
        Permission.OPERATORS_LOOK,
        Permission.OPERATORS,
    }
)
"""What is about the broker as a whole: an operator of one tenant has none of it."""

DANGEROUS = frozenset({Permission.OPERATORS, Permission.REVOKE, Permission.POLICY, Permission.APPROVE})
"""What asks for a recent proof where a session asks for it."""


def permitted(roles: Iterable[OperatorRole], permission: Permission, *, tenant: str) -> bool:
    """Whether one of these roles has it; `tenant` is the only one that its holder sees, empty for all."""
    if permission in {Permission.ANYONE, Permission.SELF}:
        return True
    if tenant and permission in WHOLE:
        return False
    return not ROLES.get(permission, frozenset()).isdisjoint(roles)
