"""Roles -> the text of a policy, as a person would write it: for tools that make policies, such as imports."""

from collections.abc import Sequence

import tomlkit
from tomlkit.items import Array, InlineTable, Table

from bartizan.policy.condition import Condition
from bartizan.policy.contract import Action, Effect, Owned, Role, Rule
from bartizan.policy.format import formatted

QOS_MAX = 2
LINE_CHARS_MAX = 120


def policy_text(roles: Sequence[Role], *, heading: Sequence[str] = ()) -> str:
    """A policy of these roles, in the one form of `policy fmt`. `heading`: lines of a comment above it."""
    document = tomlkit.document()
    for line in heading:
        document.add(tomlkit.comment(line))
    if heading:
        document.add(tomlkit.nl())
    tables = tomlkit.table(is_super_table=True)
    for role in roles:
        tables.append(role.name, role_table(role))
    document.append("roles", tables)
    return formatted(tomlkit.dumps(document))


def role_table(role: Role) -> Table:
    """The table `[roles.NAME]`, its keys in the order of the reference."""
    table = tomlkit.table()
    for key, values in (("includes", role.includes), ("client_id", role.client_ids), ("user_name", role.user_names)):
        if values:
            table.append(key, list(values))
    if role.binds:
        binds = tomlkit.inline_table()
        binds.update(dict(role.binds))
        table.append("binds", binds)
    if role.owns:
        table.append("owns", _owns(role.owns))
    for effect, rules in ((Effect.PERMIT, role.permit), (Effect.FORBID, role.forbid)):
        if rules:
            table.append(effect.value, _rules(rules))
    days = tuple((f"{kind}_days_max", number) for kind, number in role.credential_days_max)
    for key, values in (("credentials", days), ("limits", role.limits)):
        if values:
            below = tomlkit.table()
            below.update(dict(values))
            table.append(key, below)
    return table


def _owns(owned: Sequence[Owned]) -> Array:
    entries = tomlkit.array()
    for each in owned:
        if each.shared:
            entry = tomlkit.inline_table()
            entry.update({"filter": each.filter.text, "shared": True})
            entries.append(entry)
        else:
            entries.append(each.filter.text)
    return entries


def _rules(rules: Sequence[Rule]) -> Array:
    entries = tomlkit.array()
    for rule in rules:
        entries.append(rule_table(rule))
    return entries.multiline(len(rules) > 1 or len(entries.as_string()) > LINE_CHARS_MAX)


def _condition(when: Condition) -> InlineTable:
    table = tomlkit.inline_table()
    for key, value in when.as_image().items():
        # One text stands for a list of itself.
        table.append(key, value[0] if isinstance(value, list) and len(value) == 1 and key != "qos" else value)
    return table


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
    if rule.when:
        entry.append("when", _condition(rule.when))
    if rule.reason:
        entry.append("reason", rule.reason)
    return entry
