"""Policy -> the bytes the engine loads. Pure: the same policy gives the same bytes on every node.

The form is JSON with sorted keys and no spaces; `docs/adr/0004-policy-image.md` says why, and
`bartizan-core`'s `policy/format.rs` reads it.
"""

import hashlib
import json
from collections.abc import Sequence

from bartizan.policy.condition import Condition
from bartizan.policy.contract import (
    Action,
    Effect,
    Level,
    Literal,
    Pattern,
    Policy,
    Role,
    Rule,
    Topic,
    Wildcard,
    topics_by_role,
)
from bartizan.policy.declared import declared
from bartizan.policy.rule_names import own_rule_name, topic_rule_name

FORMAT = 3
"""`policy/format.rs` reads this one alone."""


def compile_policy(policy: Policy) -> bytes:
    """The image of this policy."""
    # Where a topic stands in the text, or in which file, is no part of what the policy says.
    granted = topics_by_role(sorted(policy.topics, key=lambda topic: topic.template.text.encode()))
    roles = [_role(role, granted.get(role.name, ())) for role in sorted(policy.roles, key=_name)]
    windows = [window.as_image() for window in sorted(policy.windows, key=lambda window: window.name.encode())]
    tenants = [tenant.as_image() for tenant in sorted(policy.tenants, key=lambda tenant: tenant.name.encode())]
    image: dict[str, object] = {"format": FORMAT, "roles": roles} | declared(policy)
    image |= {key: listed for key, listed in (("windows", windows), ("tenants", tenants)) if listed}
    return json.dumps(image, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(image: bytes) -> str:
    """The name of a policy: SHA-256 of its image, in hexadecimal."""
    return hashlib.sha256(image).hexdigest()


def _name(role: Role) -> bytes:
    # The engine looks roles up in the order of their octets.
    return role.name.encode()


def _role(role: Role, granted: Sequence[tuple[Topic, Action]]) -> dict[str, object]:
    declared = [_topic_rule(role, topic, action) for topic, action in granted]
    own = [
        image
        for rules in (role.permit, role.forbid)
        for index, rule in enumerate(rules)
        for image in _own_rules(role, rule, index)
    ]
    image: dict[str, object] = {"name": role.name, "limits": dict(role.limits), "rules": declared + own}
    more: dict[str, object] = {
        "includes": sorted(role.includes, key=str.encode),
        # The engine has no use for these, but they are part of what the policy says, and so of its name.
        "client_id": sorted(role.client_ids, key=str.encode),
        "user_name": sorted(role.user_names, key=str.encode),
        "credential_days_max": dict(role.credential_days_max),
    }
    return image | {key: value for key, value in more.items() if value}


def _topic_rule(role: Role, topic: Topic, action: Action) -> dict[str, object]:
    return {
        "name": topic_rule_name(role, topic, action),
        "effect": Effect.PERMIT.value,
        "actions": [action.value],
        "pattern": _pattern(role, topic.template),
        "qos_max": topic.qos_max,
        "retain": topic.retain,
    } | _when(topic.when if action is Action.PUBLISH else topic.when.of_connections)


def _own_rules(role: Role, rule: Rule, index: int) -> list[dict[str, object]]:
    """One rule of the image; two where only publishing is a matter of the message."""
    if rule.when.is_about_messages and len(rule.actions) > 1:
        reading = tuple(action for action in rule.actions if action is not Action.PUBLISH)
        return [
            _own_rule(role, rule, index, (Action.PUBLISH,), rule.when),
            _own_rule(role, rule, index, reading, rule.when.of_connections),
        ]
    return [_own_rule(role, rule, index, rule.actions, rule.when)]


def _own_rule(role: Role, rule: Rule, index: int, actions: Sequence[Action], when: Condition) -> dict[str, object]:
    return {
        "name": own_rule_name(role, rule, index),
        "effect": rule.effect.value,
        "actions": [action.value for action in actions],
        "pattern": _pattern(role, rule.filter),
        "qos_max": rule.qos_max,
        "retain": rule.retain,
    } | _when(when)


def _when(condition: Condition) -> dict[str, object]:
    return {"when": condition.as_image()} if condition else {}


def _pattern(role: Role, pattern: Pattern) -> list[object]:
    return [_level(role, level) for level in pattern.levels]


def _level(role: Role, level: Level) -> object:
    if isinstance(level, Literal):
        return {"lit": level.text}
    if isinstance(level, Wildcard):
        return "one" if level is Wildcard.ONE else "many"
    source = role.bound_to(level.name)
    return "one" if source is None else {"var": source}
