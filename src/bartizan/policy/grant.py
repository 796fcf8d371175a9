"""The smallest grant: for a denial, one permit of one role that allows this request and as little else as can be.

It names the topic itself. Where a level is a value that the role binds, it says so by the variable, so
that another identity of the role gains its own topic and not this one. Every grant is proven before it
is shown: the policy with it is compiled and asked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import tomlkit
from tomlkit.items import AoT, Array

from bartizan.errors import InvalidValue
from bartizan.model.ids import RoleName
from bartizan.policy.compiled import Asked, CompiledPolicy
from bartizan.policy.contract import (
    Action,
    Effect,
    Level,
    Literal,
    Pattern,
    PatternError,
    Policy,
    Role,
    Rule,
    Variable,
    Wildcard,
)
from bartizan.policy.source import Position
from bartizan.policy.subject import Ask, Subject

NO_ROLE = "granted"
"""The role of a grant to who has none and whose name is no role's."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A permit to add to a role."""

    role: str
    rule: Rule

    @property
    def entry(self) -> str:
        """As an entry of `permit = [...]`."""
        return "{ " + ", ".join(f"{key} = {value}" for key, value in self._pairs()) + " }"

    @property
    def table(self) -> str:
        """As a table that may be put at the end of a policy."""
        lines = [f"[[roles.{self.role}.permit]]", *(f"{key} = {value}" for key, value in self._pairs())]
        return "\n".join(lines)

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield "action", json.dumps(self.rule.actions[0].value)
        yield "filter", json.dumps(self.rule.filter.text, ensure_ascii=False)
        if Action.PUBLISH in self.rule.actions:
            yield "qos_max", str(self.rule.qos_max)
            yield "retain", json.dumps(self.rule.retain)

    def added_to(self, text: str) -> str:
        """The text of a policy with this permit in it; comments and everything else stay."""
        document = tomlkit.parse(text)
        role = document.get("roles", {}).get(self.role, {})
        permits = role.get("permit")
        if isinstance(permits, Array):
            permits.append(tomlkit.parse(f"a = {self.entry}")["a"])
        elif isinstance(permits, AoT) or not isinstance(role, tomlkit.items.InlineTable):
            return f"{text.rstrip()}\n\n{self.table}\n".lstrip("\n")
        else:
            role["permit"] = tomlkit.parse(f"a = [{self.entry}]")["a"]
        return tomlkit.dumps(document)


def smallest_grant(policy: Policy, subject: Subject, ask: Ask) -> Grant | None:
    """The smallest grant for what was denied; None where no permit can allow it."""
    grants = [grant for role in _roles(policy, subject) if (grant := _grant(role, subject, ask))]
    if not grants:
        return None
    # The more levels are bound to who asks, the less others of the role gain.
    grant = max(grants, key=lambda each: len(each.rule.filter.variables))
    asking = subject if grant.role in subject.roles else replace(subject, roles=(*subject.roles, grant.role))
    windows = [window.name for window in policy.windows]
    return grant if CompiledPolicy.of(_with(policy, grant)).decide(asking.asks(ask, windows)).allow else None


def _roles(policy: Policy, subject: Subject) -> list[Role]:
    known = {role.name: role for role in policy.roles}
    nowhere = Position(1, 1)
    named = [known.get(name, Role(name, nowhere)) for name in subject.roles]
    if named:
        return named
    try:
        return [Role(RoleName.parse(subject.identity.lower()), nowhere)]
    except InvalidValue:
        return [Role(NO_ROLE, nowhere)]


def _grant(role: Role, subject: Subject, ask: Ask) -> Grant | None:
    levels = [_level(role, subject, text, at) for at, text in enumerate(ask.decided.split("/"))]
    text = "/".join(_spelt(level) for level in levels)
    try:
        pattern = Pattern.parse(text)
    except PatternError:
        return None
    if pattern.levels != tuple(levels):
        # A level such as "{x}" is a variable in a policy, whatever it is in a topic.
        return None
    if ask.action is not Asked.PUBLISH:
        return Grant(role.name, Rule(Effect.PERMIT, (Action.SUBSCRIBE,), pattern, role.at))
    rule = Rule(Effect.PERMIT, (Action.PUBLISH,), pattern, role.at, ask.qos, ask.retain)
    return None if pattern.begins_with_dollar else Grant(role.name, rule)


def _level(role: Role, subject: Subject, text: str, at: int) -> Level:
    if text in set(Wildcard):
        return Wildcard(text)
    for variable, source in role.binds:
        if subject.value(source) == text and not (at == 0 and text.startswith("$")):
            return Variable(variable)
    return Literal(text)


def _spelt(level: Level) -> str:
    if isinstance(level, Variable):
        return f"{{{level.name}}}"
    return level.value if isinstance(level, Wildcard) else level.text


def _with(policy: Policy, grant: Grant) -> Policy:
    known = {role.name: role for role in policy.roles}
    role = known.get(grant.role, Role(grant.role, grant.rule.at))
    known[grant.role] = replace(role, permit=(*role.permit, grant.rule))
    return replace(policy, roles=tuple(known.values()))
