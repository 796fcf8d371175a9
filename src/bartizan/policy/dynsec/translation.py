"""A state -> roles of a policy, and which of them each client has; and what of it cannot be exact.

All clients with the same roles and groups share one role, whose rules are those of the import (`policy.imports.dynsec`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.difference import Difference, Weight
from bartizan.model.ids import ATTRIBUTE_CHARS_MAX, ClientId
from bartizan.policy.contract import Action, Effect, Literal, Pattern, Role, Rule
from bartizan.policy.dynsec.commands import TOPIC
from bartizan.policy.dynsec.state import State, in_order
from bartizan.policy.imports import dynsec_state as there
from bartizan.policy.imports.dynsec import import_dynsec
from bartizan.policy.imports.filters import covers
from bartizan.policy.imports.imported import why_no_name
from bartizan.policy.imports.levels import spell
from bartizan.policy.imports.mosquitto import Around
from bartizan.policy.source import Position

PREFIX: Final = "dynsec_"
"""Begins the names of all roles that are made here, and that no other may have."""

ADMIN: Final = "dynsec-admin"
"""The role that an operator gives whoever may send the first commands."""

CONTROL: Final = f"{PREFIX}control"
CLIENT_ID: Final = f"{PREFIX}client_id"
"""Both a role, for clients with one Client Identifier, and the attribute that says which."""

_FILE = "dynsec"
_LINE = re.compile(r"\bline (\d+)")
_TOPIC = tuple(Literal(level) for level in TOPIC.split("/"))
_AT = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Translation:
    """A state as a policy."""

    roles: tuple[Role, ...]
    given: Mapping[str, tuple[str, ...]]
    """The roles of each client that rules or defaults are about."""

    losses: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """What does not decide as it is said, by what it is about; each in one sentence."""


def translated(state: State, *, anonymous: bool = False) -> Translation:
    """The policy of this state. `anonymous`: whether clients without a user name are let in."""
    made = _Lines(state)
    whole = import_dynsec(made.state(), Around(_FILE, anonymous), prefix=f"{PREFIX}roles")
    given = {each.name: (*each.roles, *_own_roles(state, each.name)) for each in whole.identities}
    losses = {
        (lost.name, made.place(lost.line), lost.topics): made.told(lost)
        for lost in whole.differences
        if lost.weight is Weight.LOST and not _is_served(lost)
    }
    roles = tuple(made.named(role) for role in whole.roles)
    return Translation((*_FIXED, *roles), given, losses)


def _is_served(lost: Difference) -> bool:
    """Publishing to `$CONTROL` is a role of its own here."""
    return lost.name == "dollar-publish" and lost.topics.split("/")[0] == "$CONTROL"


def _own_roles(state: State, name: str) -> tuple[str, ...]:
    with_id = () if state.clients[name].client_id is None else (CLIENT_ID,)
    return (*with_id, CONTROL) if _may_control(state, name) else with_id


def _may_control(state: State, name: str) -> bool:
    """Whether the first rule of its roles that is about the topic of commands allows it; no default does."""
    for role in _chain(state, name):
        for acl in state.roles[role].acls.get("publishClientSend", ()):
            if covers(spell(acl.topic, {}).levels, _TOPIC):
                return acl.allow
    return False


def _chain(state: State, name: str) -> list[str]:
    groups = in_order(state.groups_of(name))
    own = in_order(state.clients[name].roles)
    return [*own, *(role for each in groups for role in in_order(state.groups[each].roles))]


class _Lines:
    """The state as the import reads it, where every rule has a line; and what stands on each."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._places: dict[int, str] = {}

    def state(self) -> there.State:
        """In the import's words."""
        remembered = sorted(self._state.remembered)
        return there.State(
            file=_FILE,
            defaults=self._state.defaults,
            roles={name: self._role(name) for name in sorted(self._state.roles)},
            groups={name: tuple(in_order(group.roles)) for name, group in self._state.groups.items()},
            clients=tuple(self._client(name) for name in remembered),
            anonymous_group=self._state.anonymous_group or "",
        )

    def _role(self, name: str) -> there.DynsecRole:
        role = self._state.roles[name]
        line = self._line(f"role {name!r}")
        acls = tuple(
            there.Acl(kind, acl.topic, acl.allow, self._line(f"role {name!r}, {kind} {acl.topic}"))
            for kind, rules in role.acls.items()
            for acl in rules
        )
        return there.DynsecRole(name, role.wildcards, acls, line)

    def _client(self, name: str) -> there.Client:
        client = self._state.clients[name]
        groups = tuple(in_order(self._state.groups_of(name)))
        return there.Client(name, 0, tuple(in_order(client.roles)), groups)

    def _line(self, place: str) -> int:
        line = len(self._places) + 1
        self._places[line] = place
        return line

    def place(self, line: int) -> str:
        """What stands there."""
        return self._places.get(line, "the defaults")

    def told(self, lost: Difference) -> str:
        """A loss in one sentence."""
        said = _LINE.sub(lambda found: self.place(int(found[1])), lost.message)
        return f"Not exactly possible here ({lost.name}, {self.place(lost.line)}): {said}; {lost.effect}"

    def named(self, role: Role) -> Role:
        """With the reason of each rule in words."""
        return replace(role, permit=tuple(map(self._rule, role.permit)), forbid=tuple(map(self._rule, role.forbid)))

    def _rule(self, rule: Rule) -> Rule:
        line = rule.reason.rpartition(":")[2]
        return replace(rule, reason=self.place(int(line)) if line else "")


def _permit(action: Action, topic: str) -> Rule:
    return Rule(Effect.PERMIT, (action,), Pattern.parse(topic), _AT)


_FIXED = (
    Role(ADMIN, _AT, permit=(_permit(Action.PUBLISH, TOPIC), _permit(Action.SUBSCRIBE, f"{TOPIC}/#"))),
    Role(CONTROL, _AT, permit=(_permit(Action.PUBLISH, TOPIC),)),
    Role(CLIENT_ID, _AT, client_ids=(f"{{attr.{CLIENT_ID}}}",)),
)


def why_not(before: State, after: State, *, strict: bool, anonymous: bool = False) -> str | None:
    """Why what a command makes of a state cannot be here as it is there; None if it can."""
    return next(refusals(before, after, strict=strict, anonymous=anonymous), None)


def refusals(before: State, after: State, *, strict: bool, anonymous: bool = False) -> Iterator[str]:
    """All reasons. Where it is not strict, what decides otherwise is none: it allows less."""
    for name, client in after.clients.items():
        known = before.clients.get(name)
        if known is None and (why := why_no_name(name)):
            yield f"Not possible here: {why}"
        if client.client_id is not None and (known is None or known.client_id != client.client_id):
            yield from _no_client_id(client.client_id)
    if strict and not _decides_alike(before, after):
        known_losses = translated(before, anonymous=anonymous).losses
        losses = translated(after, anonymous=anonymous).losses
        yield from (told for key, told in losses.items() if key not in known_losses)


def _no_client_id(text: str) -> Iterator[str]:
    try:
        ClientId.parse(text)
    except InvalidValue as error:
        yield f"Not possible here: {error}"
    if len(text) > ATTRIBUTE_CHARS_MAX:
        yield f"Not possible here: a clientid has at most {ATTRIBUTE_CHARS_MAX} characters"


def _decides_alike(before: State, after: State) -> bool:
    """True if nothing changed that rules come of."""
    return (
        before.groups == after.groups
        and before.roles == after.roles
        and before.defaults == after.defaults
        and before.anonymous_group == after.anonymous_group
        and before.remembered == after.remembered
        and all(before.clients[name].roles == after.clients[name].roles for name in after.remembered)
    )
