"""What topics say about messages, and what of it comes to little or nothing."""

from collections.abc import Iterator

from bartizan.policy.compiled import filter_covers
from bartizan.policy.contract import Topic
from bartizan.policy.lint_reach import Found
from bartizan.policy.overlap import Filters
from bartizan.policy.payload import Enforce
from bartizan.policy.places import Places


def misfits_that_nobody_is_told(places: Places) -> Iterator[Found]:
    """A payload or a rate of which misfits are counted only; a topic that takes messages out of a wider one's care."""
    policy = places.policy
    filters = [topic.template.widest_filter for topic in policy.topics]
    near = Filters(filters)
    for number, topic in enumerate(policy.topics):
        if policy.enforced(topic) is Enforce.OFF and topic.is_enforced:
            message = f"messages to {topic.template.text} that are not as it declares are counted, and nobody is told"
            hint = 'write enforce = "warn" here, or in [contract] for all topics'
            yield Found("declared-not-enforced", places.at(topic.at), message, hint)
        if topic.says_what_messages_are:
            continue
        for at in near.meeting(filters[number]):
            wider = policy.topics[at]
            if at != number and _asks(wider) and filter_covers(filters[at], filters[number]):
                message = f"{wider.template.text} says what its messages are, but not for {topic.template.text}"
                hint = "of several declarations the most specific holds alone: repeat here what is to hold"
                yield Found("declaration-hidden", places.at(topic.at), message, hint)


def _asks(topic: Topic) -> bool:
    bounds = (topic.payload, topic.rate_per_s, topic.retention_s)
    return topic.provenance or any(said is not None for said in bounds)
