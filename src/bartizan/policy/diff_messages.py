"""Two policies compared by what their topics ask of messages: payloads, rates, retention, provenance, what becomes of the rest."""

import hashlib
from collections.abc import Iterator

from bartizan.policy.contract import Policy, Topic
from bartizan.policy.diff import NOTHING, Term
from bartizan.policy.payload import ENFORCE_WORDS

UNDECLARED = "undeclared topics"


def message_terms(old: Policy, new: Policy) -> tuple[Term, ...]:
    """What changes, by topic."""
    before, after = dict(_told(old)), dict(_told(new))
    # A topic that is new to a policy that refuses undeclared ones, or gone from it, is a change by itself.
    changed = (
        Term(of, before.get(of) or NOTHING, after.get(of) or NOTHING)
        for of in sorted(before.keys() | after.keys())
        if before.get(of) != after.get(of)
    )
    return tuple(term for term in changed if term.before != term.after)


def _told(policy: Policy) -> Iterator[tuple[str, str]]:
    if policy.enforce is not None:
        yield UNDECLARED, ENFORCE_WORDS[policy.enforce]
    for topic in policy.topics:
        words = ", ".join(_words(policy, topic))
        declares = policy.enforce is not None
        yield topic.template.text, words or ("declared, any message" if declares else "")


def _words(policy: Policy, topic: Topic) -> Iterator[str]:
    if topic.payload and topic.payload.asks_anything:
        schema = topic.payload.schema
        version = f" ({hashlib.sha256(schema.encode()).hexdigest()[:8]})" if schema else ""
        yield f"{topic.payload}{version}"
    if topic.rate_per_s:
        yield f"at most {topic.rate_per_s} per second"
    if topic.is_enforced:
        yield f"else {ENFORCE_WORDS[policy.enforced(topic)]}"
    if topic.retention_s:
        yield f"of no use after {topic.retention_s} s"
    if topic.provenance:
        yield "with provenance"
