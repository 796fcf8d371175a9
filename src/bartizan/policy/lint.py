"""What is valid but probably not meant. A warning never stops a policy; each says where and why."""

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Final

from bartizan.policy.compiled import filter_covers
from bartizan.policy.contract import Action, Effect, Policy, Role, Rule, Topic
from bartizan.policy.source import Position, Problem

_ALIKE = 0.75


def lint(policy: Policy) -> tuple[Problem, ...]:
    """The warnings of this policy, in the order of its text."""
    problems = [
        Problem(at.origin or policy.origin, at.line, at.column, message, hint, code)
        for code, look in _CHECKS.items()
        for at, message, hint in look(policy)
    ]
    return tuple(sorted(problems, key=lambda p: (*p.place, p.message)))


_Found = Iterator[tuple[Position, str, str]]


def _undeclared_roles(policy: Policy) -> _Found:
    for role in policy.roles:
        if not role.is_declared:
            hint = f"declare [roles.{role.name}], with binds if it is not meant to reach every level"
            yield role.at, f"role {role.name} has no table, so it binds no variable", hint


def _roles_without_rules(policy: Policy) -> _Found:
    granted = policy.topics_by_role()
    # A role of limits alone may be made to be included.
    included = {name for role in policy.roles for name in role.includes}
    for role in policy.roles:
        # An empty table says "this role gets nothing" and is meant; one with limits is not.
        is_empty = not (role.permit or role.forbid or role.includes)
        if role.name not in granted and is_empty and role.limits and role.name not in included:
            yield role.at, f"role {role.name} grants nothing", "name it in a topic's publish or subscribe"


def _topics_without_publisher(policy: Policy) -> _Found:
    for topic in policy.topics:
        if not topic.template.begins_with_dollar and not _is_reached(policy, topic, Action.PUBLISH):
            yield topic.at, f"nobody may publish to {topic.template.text}", 'add publish = ["role"]'


def _topics_without_subscriber(policy: Policy) -> _Found:
    for topic in policy.topics:
        if not _is_reached(policy, topic, Action.SUBSCRIBE):
            yield topic.at, f"nobody may subscribe to {topic.template.text}", 'add subscribe = ["role"]'


def _is_reached(policy: Policy, topic: Topic, action: Action) -> bool:
    if topic.roles(action):
        return True
    wanted = topic.template.widest_filter
    return any(
        filter_covers(rule.filter.widest_filter, wanted) or filter_covers(wanted, rule.filter.widest_filter)
        for role in policy.roles
        for rule in role.permit
        if action in rule.actions
    )


def _topics_that_are_the_same(policy: Policy) -> _Found:
    seen: dict[str, Topic] = {}
    for topic in policy.topics:
        first = seen.setdefault(topic.template.widest_filter, topic)
        if first is not topic:
            message = f"this names the same topics as {first.template.text} in line {first.at.line}"
            yield topic.at, message, "make one table of the two"


def _wide_publish(policy: Policy) -> _Found:
    for role, rule in _rules(policy, Effect.PERMIT):
        if Action.PUBLISH in rule.actions and rule.filter.text in {"#", "+/#"}:
            yield rule.at, f"role {role.name} may publish to every topic", "name the topics it writes"


def _permits_around_a_forbid(policy: Policy) -> _Found:
    for role, permit in _rules(policy, Effect.PERMIT):
        for forbid in role.forbid:
            both = Action.SUBSCRIBE in permit.actions and Action.SUBSCRIBE in forbid.actions
            if both and filter_covers(permit.filter.widest_filter, forbid.filter.widest_filter):
                message = f"{permit.filter.text} covers {forbid.filter.text}, which this role is forbidden"
                hint = "deliveries of such a subscription are decided one by one; a narrower permit is cheaper"
                yield permit.at, message, hint


def _rules(policy: Policy, effect: Effect) -> Iterator[tuple[Role, Rule]]:
    for role in policy.roles:
        for rule in role.permit if effect is Effect.PERMIT else role.forbid:
            yield role, rule


def _windows_that_nothing_asks_for(policy: Policy) -> _Found:
    asked = {name for topic in policy.topics for name in topic.when.windows}
    for effect in Effect:
        asked.update(name for _, rule in _rules(policy, effect) for name in rule.when.windows)
    for window in policy.windows:
        if window.name not in asked:
            yield window.at, f"no rule asks for the window {window.name}", f'when = {{ window = "{window.name}" }}'


def _misspelt_variables(policy: Policy) -> _Found:
    binds = {role.name: {name for name, _ in role.binds} for role in policy.roles}
    for topic in policy.topics:
        bound = set[str]().union(*(binds[name] for name in (*topic.publish, *topic.subscribe)))
        for variable in topic.template.variables:
            for other in sorted(bound - set(topic.template.variables)):
                if variable not in bound and SequenceMatcher(None, variable, other).ratio() >= _ALIKE:
                    message = f"the variable {{{variable}}} is bound by no role of this topic, so it is any level"
                    yield topic.at, message, f"did you mean {{{other}}}?"


_CHECKS: Final[Mapping[str, Callable[[Policy], _Found]]] = {
    "role-without-table": _undeclared_roles,
    "role-grants-nothing": _roles_without_rules,
    "topic-without-publisher": _topics_without_publisher,
    "topic-without-subscriber": _topics_without_subscriber,
    "topic-twice": _topics_that_are_the_same,
    "publish-everything": _wide_publish,
    "permit-around-forbid": _permits_around_a_forbid,
    "misspelt-variable": _misspelt_variables,
    "window-unused": _windows_that_nothing_asks_for,
}
WARNINGS: Final = tuple(_CHECKS)
"""The codes of what `check` warns about."""
