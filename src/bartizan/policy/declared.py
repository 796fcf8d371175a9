"""What topics ask of messages -> the part of an image that holds messages to it (`policy/contract.rs`)."""

import json

from bartizan.policy.contract import Literal, Policy, Topic, Wildcard
from bartizan.policy.payload import Enforce


def declared(policy: Policy) -> dict[str, object]:
    """The declared topics; nothing where nobody is held to them, so that such a policy is as small as it was."""
    if policy.enforce is None and not any(map(_asks, policy.topics)):
        return {}
    # Of those that a message cannot tell apart one says what messages are, or none.
    topics: dict[str, Topic] = {}
    for topic in sorted(policy.topics, key=lambda each: (not each.says_what_messages_are, each.template.text.encode())):
        topics.setdefault(topic.template.widest_filter, topic)
    payloads: dict[str, int] = {}
    images = [_image(policy, topics[key], payloads) for key in sorted(topics, key=str.encode)]
    image: dict[str, object] = {"topics": images}
    if payloads:
        image["payloads"] = [json.loads(text) for text in payloads]
    if policy.enforce is not None:
        image["undeclared"] = policy.enforce.value
    return image


def _asks(topic: Topic) -> bool:
    return topic.is_enforced or topic.retention_s is not None or topic.provenance


def _image(policy: Policy, topic: Topic, payloads: dict[str, int]) -> dict[str, object]:
    enforce = policy.enforced(topic)
    image: dict[str, object] = {"name": topic.template.text, "pattern": _pattern(topic)}
    if enforce is not Enforce.OFF:
        image["enforce"] = enforce.value
    if topic.payload is not None and topic.payload.asks_anything:
        text = json.dumps(topic.payload.as_image(), sort_keys=True)
        image["payload"] = payloads.setdefault(text, len(payloads))
    if topic.rate_per_s is not None:
        image["rate_per_s"] = topic.rate_per_s
    if topic.retention_s is not None:
        image["retention_s"] = topic.retention_s
    if topic.provenance:
        image["provenance"] = True
    return image


def _pattern(topic: Topic) -> list[object]:
    """A variable is any level: what a topic is does not hang on who asks."""
    return [
        {"lit": level.text} if isinstance(level, Literal) else "many" if level is Wildcard.MANY else "one"
        for level in topic.template.levels
    ]
