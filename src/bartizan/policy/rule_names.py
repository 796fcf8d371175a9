"""How decisions name a rule: by where it stands in the text. And by what it says, which an edit elsewhere leaves alone."""

import hashlib
import json
from collections.abc import Mapping

from bartizan.policy.contract import Action, Role, Rule, Topic


def topic_rule_name(role: Role, topic: Topic, action: Action) -> str:
    """What a topic grants a role: `roles.press via topics."data/#".publish`."""
    return f"roles.{role.name} via topics.{json.dumps(topic.template.text, ensure_ascii=False)}.{action}"


def own_rule_name(role: Role, rule: Rule, index: int) -> str:
    """A rule of a role's own: `roles.admin.forbid[0]`."""
    return f"roles.{role.name}.{rule.effect}[{index}]"


def fingerprints(image: bytes) -> Mapping[str, str]:
    """By its name, what each rule of an image says: its role, effect, actions, pattern, bounds and conditions, hashed.

    Another entry in front of it gives a rule another name, and leaves its fingerprint as it is.
    """
    told = json.loads(image)
    hours = {window["name"]: window for window in told.get("windows", ())}
    said: dict[str, tuple[str, list[str]]] = {}
    for role in told["roles"]:
        for rule in role["rules"]:
            # A rule of which only publishing is a matter of the message is two in the image, of one name.
            said.setdefault(rule["name"], (role["name"], []))[1].append(meaning(rule, hours))
    return {
        name: hashlib.sha256(json.dumps([role, sorted(meanings)]).encode()).hexdigest()[:32]
        for name, (role, meanings) in said.items()
    }


def meaning(rule: Mapping[str, object], hours: Mapping[str, object]) -> str:
    """All of an image's rule but its name; of its windows, the hours."""
    when = rule.get("when")
    named = when.get("window", []) if isinstance(when, dict) else []
    found = {key: value for key, value in rule.items() if key != "name"} | {"hours": [hours.get(w) for w in named]}
    return json.dumps(found, sort_keys=True)
