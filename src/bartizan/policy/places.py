"""Every rule that a role has, under the name by which decisions tell it, and where it stands in the text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bartizan.policy.check import CheckResult
from bartizan.policy.condition import Condition
from bartizan.policy.contract import Action, Effect, Pattern, Policy, Role, Rule, Topic
from bartizan.policy.rule_names import own_rule_name, topic_rule_name
from bartizan.policy.source import Position


@dataclass(frozen=True, slots=True)
class Granted:
    """One rule of one role, from a topic's list or the role's own."""

    name: str
    role: Role
    effect: Effect
    actions: tuple[Action, ...]
    pattern: Pattern
    qos_max: int
    retain: bool
    when: Condition
    origin: Topic | Rule

    def counts_when(self, action: Action) -> Condition:
        """When it counts for this action: what a condition asks of messages is a matter of publishing alone."""
        return self.when if action is Action.PUBLISH else self.when.of_connections

    @property
    def is_of_topic(self) -> bool:
        """True if a topic grants it; false for a rule of the role's own."""
        return isinstance(self.origin, Topic)

    @property
    def scope(self) -> str:
        """The filter it is, in which a bound variable is a word of its own that nothing else is."""
        return self.role.scope(self.pattern)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where something stands, and the lines that say it."""

    file: str
    line: int
    column: int
    lines: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Places:
    """The rules of a policy that was found good, by role and by name, and its texts."""

    def __init__(self, result: CheckResult) -> None:
        if result.policy is None or result.tree is None:
            raise ValueError("a policy with errors has no rules")
        self.policy: Policy = result.policy
        self._tree = result.tree

    @cached_property
    def by_role(self) -> Mapping[str, Sequence[Granted]]:
        """The rules of each role, and behind them those of the roles that it includes, as these have them."""
        own = _by_role(self.policy)
        return {name: tuple(rule for each in self.included(name) for rule in own[each.name]) for name in own}

    @cached_property
    def _roles(self) -> Mapping[str, Role]:
        return {role.name: role for role in self.policy.roles}

    def included(self, name: str) -> Sequence[Role]:
        """The role of this name and all that it includes; none if there is no such role."""
        found: dict[str, Role] = {}
        waiting = [name]
        while waiting:
            role = self._roles.get(waiting.pop())
            if role is not None and role.name not in found:
                found[role.name] = role
                waiting += role.includes
        return tuple(found.values())

    @cached_property
    def by_name(self) -> Mapping[str, Granted]:
        """Every rule, by the name that a decision tells."""
        return {rule.name: rule for rules in self.by_role.values() for rule in rules}

    def excerpt(self, rule: Granted) -> Excerpt:
        """Where the rule stands: a topic's header and the line that names the role, or the rule's own line."""
        if not isinstance(rule.origin, Topic):
            return self.at(rule.origin.at)
        action = rule.actions[0]
        index = rule.origin.roles(action).index(rule.role.name)
        granting = self._tree.value_at(("topics", rule.origin.template.text, action.value, index))
        return self.at(granting, rule.origin.at)

    def at(self, *places: Position) -> Excerpt:
        """The lines of these places, the first of which is the one that counts."""
        first = places[0]
        origin = first.origin or self.policy.origin
        lines = {each.line: self._line(origin, each.line) for each in places}
        return Excerpt(origin, first.line, first.column, tuple(sorted(lines.items())))

    def _line(self, origin: str, line: int) -> str:
        lines = self._lines.get(origin, ())
        return lines[line - 1].strip() if line <= len(lines) else ""

    @cached_property
    def _lines(self) -> Mapping[str, Sequence[str]]:
        return {origin: text.split("\n") for origin, text in self.texts.items()}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The policy's texts by origin, in the order in which they were read."""
        return {source.origin: source.text for source in self._tree.sources or (self._tree.source,)}

    def holds_list(self, role: str, key: str) -> bool:
        """True if the role has this list written as `key = [...]`, to which an entry is added inside."""
        path = ("roles", role, key)
        return path in self._tree.values

    def role_at(self, role: str, key: str) -> Position:
        """Where this key of the role stands, else the role."""
        return self._tree.at(("roles", role, key))


def _by_role(policy: Policy) -> dict[str, list[Granted]]:
    granted = policy.topics_by_role()
    found: dict[str, list[Granted]] = {}
    for role in policy.roles:
        declared = [_of_topic(role, topic, action) for topic, action in granted.get(role.name, ())]
        found[role.name] = declared + list(_own(role))
    return found


def _of_topic(role: Role, topic: Topic, action: Action) -> Granted:
    name = topic_rule_name(role, topic, action)
    when = topic.when if action is Action.PUBLISH else topic.when.of_connections
    return Granted(name, role, Effect.PERMIT, (action,), topic.template, topic.qos_max, topic.retain, when, topic)


def _own(role: Role) -> Iterator[Granted]:
    for rules in (role.permit, role.forbid):
        for index, rule in enumerate(rules):
            name = own_rule_name(role, rule, index)
            bounds = (rule.qos_max, rule.retain, rule.when)
            yield Granted(name, role, rule.effect, rule.actions, rule.filter, *bounds, rule)
