"""How decisions name a rule: by where it stands in the text."""

import json

from bartizan.policy.contract import Action, Role, Rule, Topic


def topic_rule_name(role: Role, topic: Topic, action: Action) -> str:
    """What a topic grants a role: `roles.press via topics."data/#".publish`."""
    return f"roles.{role.name} via topics.{json.dumps(topic.template.text, ensure_ascii=False)}.{action}"


def own_rule_name(role: Role, rule: Rule, index: int) -> str:
    """A rule of a role's own: `roles.admin.forbid[0]`."""
    return f"roles.{role.name}.{rule.effect}[{index}]"
