"""Rules beside rules: those without effect, those around a limit, and topics that share topics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bartizan.policy.compiled import filter_covers
from bartizan.policy.contract import Action, Effect
from bartizan.policy.overlap import Filters
from bartizan.policy.places import Excerpt, Granted, Places

PUBLISHED = Action.PUBLISH


@dataclass(frozen=True, slots=True)
class Found:
    """One finding: what, where, and how to mend it."""

    code: str
    at: Excerpt
    message: str
    hint: str


def rules_beside_rules(places: Places) -> Iterator[Found]:
    """Of each role: shadowed permits and forbids, unreachable permits, limits without effect."""
    for role, rules in places.by_role.items():
        scopes = [rule.scope for rule in rules]
        near = Filters(scopes)
        for number, rule in enumerate(rules):
            if rule.role.name != role:
                continue  # told where it stands, with the role that is included
            others = [(at, rules[at]) for at in near.meeting(scopes[number]) if at != number]
            wider = [(at, other) for at, other in others if filter_covers(scopes[at], scopes[number])]
            yield from _beside(places, role, (number, rule), wider)


def _beside(
    places: Places, role: str, numbered: tuple[int, Granted], wider: Sequence[tuple[int, Granted]]
) -> Iterator[Found]:
    number, rule = numbered
    if forbid := next((other for _, other in wider if _forbids(other, rule)), None):
        message = f"role {role} is forbidden all of {rule.pattern.text} by {forbid.pattern.text}"
        where = places.excerpt(forbid)
        yield Found(
            "unreachable-permit",
            places.excerpt(rule),
            f"{message}, {where}",
            "remove this permit, or narrow the forbid",
        )
        return
    for at, other in wider:
        is_same = other.scope == rule.scope and other.actions == rule.actions
        if _is_shadow(other, rule) and not rule.is_of_topic and (at < number or not is_same or other.is_of_topic):
            what = f"{other.pattern.text}, {places.excerpt(other)}, does the same and more"
            yield Found(
                f"shadowed-{rule.effect}",
                places.excerpt(rule),
                f"this {rule.effect} has no effect: {what}",
                "remove it",
            )
            return
        if _is_around(other, rule):
            limits = [*([f"qos_max = {rule.qos_max}"] if other.qos_max > rule.qos_max else [])]
            limits += ["retain = false"] if other.retain and not rule.retain else []
            message = f"{' and '.join(limits)} does not bind role {role}: {other.pattern.text}, {places.excerpt(other)}, permits more"
            yield Found(
                "limit-without-effect", places.excerpt(rule), message, "set the limit there too, or narrow that rule"
            )
            return


def _forbids(other: Granted, rule: Granted) -> bool:
    is_forbid = other.effect is Effect.FORBID and rule.effect is Effect.PERMIT
    return is_forbid and set(rule.actions) <= set(other.actions) and not other.when


def _is_shadow(other: Granted, rule: Granted) -> bool:
    """`other`, whose filter covers that of `rule`, does all that `rule` does."""
    if other.effect is not rule.effect or not set(rule.actions) <= set(other.actions):
        return False
    if other.when and other.when != rule.when:
        return False
    if rule.effect is Effect.FORBID or PUBLISHED not in rule.actions:
        return True
    return other.qos_max >= rule.qos_max and other.retain >= rule.retain


def _is_around(other: Granted, rule: Granted) -> bool:
    """`other` permits to publish what `rule` holds back by QoS or RETAIN."""
    both = rule.effect is other.effect is Effect.PERMIT and PUBLISHED in rule.actions and PUBLISHED in other.actions
    return both and not other.when and (other.qos_max > rule.qos_max or other.retain > rule.retain)


def topics_beside_topics(places: Places) -> Iterator[Found]:
    """Templates that share some topics, where neither is part of the other: which of the two is meant?"""
    topics = places.policy.topics
    filters = [topic.template.widest_filter for topic in topics]
    near = Filters(filters)
    for number, topic in enumerate(topics):
        for at in near.meeting(filters[number]):
            mine, other = filters[number], filters[at]
            if at < number and not filter_covers(mine, other) and not filter_covers(other, mine):
                first = places.at(topics[at].at)
                message = f"{topic.template.text} shares topics with {topics[at].template.text}, {first}"
                yield Found(
                    "overlapping-topics", places.at(topic.at), message, "make a level of one of them a word of its own"
                )


def rules_beside_topics(places: Places) -> Iterator[Found]:
    """A role's own permits that reach beyond, or beside, everything that is declared."""
    filters = [topic.template.widest_filter for topic in places.policy.topics]
    near = Filters(filters)
    for role, rules in places.by_role.items():
        for rule in rules:
            wide = rule.pattern.widest_filter
            if (
                rule.role.name != role
                or rule.is_of_topic
                or rule.effect is Effect.FORBID
                or wide.startswith("$")
                or not filters
            ):
                continue
            what = f"role {role} may {' and '.join(rule.actions)} {rule.pattern.text}"
            near_by = near.meeting(wide)
            if not near_by:
                yield Found(
                    "undeclared-topic",
                    places.excerpt(rule),
                    f"{what}, which no topic declares",
                    "declare the topic, or correct the filter",
                )
            elif not any(filter_covers(filters[at], wide) for at in near_by):
                hint = "name the topics, or name the role in them"
                yield Found(
                    "wider-than-topics", places.excerpt(rule), f"{what}, which is wider than any declared topic", hint
                )
