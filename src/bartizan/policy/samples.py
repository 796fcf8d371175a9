"""What to ask a policy about a rule: requests that stand for all that the rule can change.

A rule changes decisions only where it applies; there, other rules of the same role may permit or forbid
already. So a topic of the rule that is as free as can be, and one of each part that it shares with
another rule, are enough to see whether anything changes. The answers are the engine's.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bartizan.policy.compiled import Asked, Circumstances
from bartizan.policy.condition import PAYLOAD_BYTES_MAX, Condition
from bartizan.policy.contract import Action, Literal, Pattern, Role, Variable, Wildcard
from bartizan.policy.overlap import MANY, ONE, Filters, meet
from bartizan.policy.places import Granted, Places
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.together import combined, of_connections, of_messages, variants

CONDITIONS_MAX: Final = 40
"""Different conditions of one role for which somebody is made up."""

TOGETHER_MAX: Final = 400
"""Ways to meet two conditions of one role at once for which somebody is made up."""

MESSAGES_MAX: Final = 120
"""Kinds of messages, by two conditions at once, that are tried."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, but for its topic."""

    qos: int = 0
    retain: bool = False
    payload_bytes: int = 0
    content_type: str | None = None
    utf8: bool = False

    def to(self, topic: str) -> Ask:
        """The request to publish it there."""
        return Ask(Asked.PUBLISH, topic, self.qos, self.retain, self.payload_bytes, self.content_type, self.utf8)


_MODES: Final = tuple(Sent(qos, retain) for retain in (False, True) for qos in (0, 1, 2))


def _asked_for(when: Condition) -> Iterator[Sent]:
    """Messages that a condition asks for, and, of a size, those just beside it."""
    if not when.is_about_messages:
        return
    qos = when.qos or (0, 1, 2)
    sizes = {when.payload_bytes_min or 0, when.payload_bytes_max or when.payload_bytes_min or 0}
    sizes |= {size + 1 for size in (when.payload_bytes_max,) if size is not None and size < PAYLOAD_BYTES_MAX}
    kind = when.content_types[0] if when.content_types else None
    for size in sorted(sizes):
        for retain in (False, True) if when.retain is None else (when.retain,):
            yield from (Sent(each, retain, size, kind, when.utf8 is True) for each in qos)


def filter_for(rule: Granted, subject: Subject) -> str | None:
    """The filter that the rule is for this subject; None if a value that it needs is missing."""
    return filter_of(rule.pattern, rule.role, subject)


def filter_of(pattern: Pattern, role: Role, subject: Subject) -> str | None:
    """The filter that a pattern of this role is for this subject; None if a value that it needs is missing."""
    levels: list[str] = []
    for level in pattern.levels:
        if isinstance(level, Variable) and (source := role.bound_to(level.name)):
            value = subject.value(source)
            if value is None:
                return None
            levels.append(value)
        else:
            levels.append(level.text if isinstance(level, Literal) else _free(level))
    return "/".join(levels)


def _free(level: Variable | Wildcard) -> str:
    return MANY if level is Wildcard.MANY else ONE


class Samples:
    """The requests of one subject that are worth asking, among these rules."""

    def __init__(self, subject: Subject, rules: Sequence[Granted], *, together: bool = False) -> None:
        self._rules = [(rule, text) for rule in rules if (text := filter_for(rule, subject)) is not None]
        self._filters = [text for _, text in self._rules]
        self._near = Filters(self._filters)
        self._spelt = {level for text in self._filters for level in text.split("/")}
        self._subject = subject
        conditions = of_messages(rule.when for rule in rules)
        pairs, unseen = combined(conditions, conditions, MESSAGES_MAX) if together else (conditions, 0)
        self.unseen = unseen + max(0, len(pairs) - MESSAGES_MAX) if together else 0
        """Kinds of messages that are not tried."""
        self._sent = tuple(
            dict.fromkeys(
                (
                    *_MODES,
                    *(sent for when in (pairs[:MESSAGES_MAX] if together else pairs) for sent in _asked_for(when)),
                )
            )
        )

    def of(self, rule: Granted) -> Iterator[Ask]:
        """Requests that stand for all that this rule can change, the plainest first."""
        own = filter_for(rule, self._subject)
        if own is None:
            return
        shared = (meet(own, self._filters[at]) for at in self._near.meeting(own))
        for filter in dict.fromkeys([own, *(each for each in shared if each)]):
            if Action.PUBLISH in rule.actions:
                for topic in self.topics(filter, rule.pattern):
                    if not topic.startswith("$"):
                        yield from self.messages(topic)
            if Action.SUBSCRIBE in rule.actions:
                yield Ask(Asked.SUBSCRIBE, filter)
                yield from (Ask(Asked.SUBSCRIBE, topic) for topic in self.topics(filter, rule.pattern))

    def messages(self, topic: str) -> list[Ask]:
        """Requests to publish there, with every kind of message that these rules tell apart."""
        return [sent.to(topic) for sent in self._sent]

    def topics(self, filter: str, pattern: Pattern) -> Iterator[str]:
        """Topics of this filter; a free level is spelt by its variable's name, if it has one."""
        levels = filter.split("/")
        tails: tuple[tuple[str, ...], ...] = ((),)
        if levels[-1] == MANY:
            levels, tails = levels[:-1], ((ONE,), (ONE, ONE), ())
        for tail in tails:
            names = [self._word(level, pattern, at) for at, level in enumerate([*levels, *tail])]
            if names and (topic := "/".join(names)):
                yield topic

    def _word(self, level: str, pattern: Pattern, at: int) -> str:
        if level != ONE:
            return level
        named = pattern.levels[at] if at < len(pattern.levels) else None
        name = named.name if isinstance(named, Variable) else "any"
        number = 1
        while f"{name}-{number}" in self._spelt:
            number += 1
        return f"{name}-{number}"


def exemplars(role: str, *sides: Places) -> tuple[Subject, ...]:
    """Whoever has this role and all that it binds, and of each condition of its rules one that it holds for.

    One has its name as Client Identifier, one another. `sides` are the policies in which the role is looked for.
    """
    binds = [bind for places in sides for each in places.included(role) for bind in each.binds]
    sources = dict.fromkeys(source[5:] for _, source in binds if source.startswith("attr."))
    one = Subject(f"{role}-1", f"{role}-1", (role,), {name: f"{name}-1" for name in sources})
    rules = [rule for places in sides for rule in places.by_role.get(role, ())]
    return (one, replace(one, client_id=f"{role}-1-a"), *suited(one, rules))


def suited(subject: Subject, rules: Iterable[Granted], *, keeps_attributes: bool = False) -> list[Subject]:
    """The subject as each condition of these rules asks for it."""
    conditions = dict.fromkeys(rule.when.of_connections for rule in rules if rule.when.of_connections)
    found = [_suited(subject, when, keeps_attributes=keeps_attributes) for when in list(conditions)[:CONDITIONS_MAX]]
    if any(when.windows for when in conditions):
        found.append(replace(subject, windows=()))
    return [each for each in found if each != subject]


def suited_together(
    subject: Subject, changed: Iterable[Granted], rules: Iterable[Granted], *, keeps_attributes: bool = False
) -> tuple[list[Subject], int]:
    """The subject as the conditions of changed rules ask for it, alone and beside one of all rules, in every way.

    And how many more of such subjects there would be.
    """
    of_changed, of_all = (of_connections(rule.when for rule in each) for each in (changed, rules))
    pairs, unseen = combined(of_changed, of_all, TOGETHER_MAX)
    wanted = [way for when in pairs for way in variants(when)]
    has_windows = any(when.windows for when in of_all)
    asked = [_suited(subject, when, keeps_attributes=keeps_attributes) for when in wanted[:TOGETHER_MAX]]
    # Where no window is asked for, all of them are open; what forbids in one of them would hide the rest.
    asked += [replace(each, windows=()) for each in asked if has_windows and each.windows is None]
    return [each for each in asked if each != subject], unseen + max(0, len(wanted) - TOGETHER_MAX)


def _suited(subject: Subject, when: Condition, *, keeps_attributes: bool) -> Subject:
    wanted = {} if keeps_attributes else {name: values[0] for name, values in when.attributes}
    there = subject.there
    if there is None and (when.listeners or when.addresses or when.methods or when.strengths):
        network = when.addresses[0] if when.addresses else "local"
        there = Circumstances(
            listener=when.listeners[0] if when.listeners else "",
            address=None if network == "local" else network.partition("/")[0],
            method=when.methods[0] if when.methods else "",
            strengths=when.strengths,
        )
    attributes = {**subject.attributes, **wanted}
    return replace(subject, attributes=attributes, there=there, windows=when.windows or subject.windows)
