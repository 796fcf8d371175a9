"""Roles -> the text of a policy, as a person would write it: for tools that make policies, such as imports."""

from collections.abc import Sequence

import tomlkit
from tomlkit.items import Array, InlineTable, Table

from bartizan.policy.contract import Action, Effect, Role, Rule

QOS_MAX = 2
LINE_CHARS_MAX = 120


def policy_text(roles: Sequence[Role], *, heading: Sequence[str] = ()) -> str:
    """A policy of these roles, in their order. `heading`: lines of a comment above it."""
    document = tomlkit.document()
    for line in heading:
        document.add(tomlkit.comment(line))
    if heading:
        document.add(tomlkit.nl())
    tables = tomlkit.table(is_super_table=True)
    for role in roles:
        tables.append(role.name, role_table(role))
    document.append("roles", tables)
    return tomlkit.dumps(document).rstrip("\n") + "\n"


def role_table(role: Role) -> Table:
    """The table `[roles.NAME]`, its keys in the order of the reference."""
    table = tomlkit.table()
    if role.binds:
        binds = tomlkit.inline_table()
        binds.update(dict(role.binds))
        table.append("binds", binds)
    for effect, rules in ((Effect.PERMIT, role.permit), (Effect.FORBID, role.forbid)):
        if rules:
            table.append(effect.value, _rules(rules))
    if role.limits:
        limits = tomlkit.table()
        limits.update(dict(role.limits))
        table.append("limits", limits)
    return table


def _rules(rules: Sequence[Rule]) -> Array:
    entries = tomlkit.array()
    for rule in rules:
        entries.append(rule_table(rule))
    return entries.multiline(len(rules) > 1 or len(entries.as_string()) > LINE_CHARS_MAX)


def rule_table(rule: Rule) -> InlineTable:
    """`{ action = ..., filter = ... }`; what is as by default is left out."""
    entry = tomlkit.inline_table()
    both = len(rule.actions) == len(Action)
    entry.append("action", "all" if both else rule.actions[0].value)
    entry.append("filter", rule.filter.text)
    if rule.effect is Effect.PERMIT and Action.PUBLISH in rule.actions:
        if rule.qos_max != QOS_MAX:
            entry.append("qos_max", rule.qos_max)
        if not rule.retain:
            entry.append("retain", rule.retain)
    if rule.reason:
        entry.append("reason", rule.reason)
    return entry
