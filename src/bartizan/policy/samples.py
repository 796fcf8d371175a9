"""What to ask a policy about a rule: requests that stand for all that the rule can change.

A rule changes decisions only where it applies; there, other rules of the same role may permit or forbid
already. So a topic of the rule that is as free as can be, and one of each part that it shares with
another rule, are enough to see whether anything changes. The answers are the engine's.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Final

from bartizan.policy.compiled import Asked, Circumstances
from bartizan.policy.condition import PAYLOAD_BYTES_MAX, Condition
from bartizan.policy.contract import CONTROL_TOPIC, Action, Literal, Pattern, Role, Variable, Wildcard
from bartizan.policy.overlap import MANY, ONE, Filters, meet
from bartizan.policy.places import Granted, Places
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.together import combined, elsewhere, of_connections, variants

CONDITIONS_MAX: Final = 40
"""Different conditions of one role for which somebody is made up."""

TOGETHER_MAX: Final = 400
"""Ways to meet two conditions of one role at once for which somebody is made up."""

MESSAGES_MAX: Final = 600
"""Kinds of messages that are tried where every one is to be."""


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


def _every_message(conditions: Sequence[Condition]) -> tuple[list[Sent], int]:
    """Every kind of message that these conditions tell apart, and how many more there are than are tried."""
    bounds = [(when.payload_bytes_min or 0) - 1 for when in conditions]
    bounds += [when.payload_bytes_max for when in conditions if when.payload_bytes_max is not None]
    sizes = {0} | {size for bound in bounds for size in (bound, bound + 1) if 0 <= size <= PAYLOAD_BYTES_MAX}
    kinds = dict.fromkeys((None, *(kind for when in conditions for kind in when.content_types)))
    marked = (False, True) if any(when.utf8 is not None for when in conditions) else (False,)
    every = product(sorted(sizes), kinds, marked, (False, True), (0, 1, 2))
    left = len(sizes) * len(kinds) * len(marked) * len(_MODES) - MESSAGES_MAX
    found = [Sent(qos, retain, size, kind, utf8) for size, kind, utf8, retain, qos in islice(every, MESSAGES_MAX)]
    return found, max(0, left)


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
        self._together = together
        self._sent = tuple(dict.fromkeys((*_MODES, *(sent for rule in rules for sent in _asked_for(rule.when)))))
        self.unseen = 0
        """Kinds of messages that were not tried."""

    def of(self, rule: Granted) -> Iterator[Ask]:
        """Requests that stand for all that this rule can change, the plainest first."""
        own = filter_for(rule, self._subject)
        if own is None:
            return
        near = self._near.meeting(own)
        sent = self._told_apart([self._rules[at][0] for at in near]) if self._together else self._sent
        shared = (meet(own, self._filters[at]) for at in near)
        for filter in dict.fromkeys([own, *(each for each in shared if each)]):
            if Action.PUBLISH in rule.actions:
                for topic in self.topics(filter, rule.pattern):
                    if not topic.startswith("$") or topic == CONTROL_TOPIC:
                        yield from (each.to(topic) for each in sent)
            if Action.SUBSCRIBE in rule.actions:
                yield Ask(Asked.SUBSCRIBE, filter)
                yield from (Ask(Asked.SUBSCRIBE, topic) for topic in self.topics(filter, rule.pattern))

    def _told_apart(self, rules: Sequence[Granted]) -> Iterable[Sent]:
        """Every kind of message that these rules tell apart, the plainest first."""
        every, left = _every_message([rule.when for rule in rules if rule.when.is_about_messages])
        self.unseen = max(self.unseen, left)
        asked = (sent for rule in rules for sent in _asked_for(rule.when))
        return dict.fromkeys((*_MODES, *asked, *every))

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
    if not of_changed and not of_all:
        return [], 0
    if not keeps_attributes:
        # Whoever lacks what a forbid asks for is held by it: this one has it, with a value that nothing asks for.
        names = dict.fromkeys(name for when in of_all for name, _ in when.attributes)
        subject = replace(subject, attributes={name: f"{name}-1" for name in names} | dict(subject.attributes))
    pairs, unseen = combined(of_changed, of_all, TOGETHER_MAX)
    ways = [way for when in pairs for way in variants(when)]
    asked = [subject, *(_suited(subject, when, keeps_attributes=keeps_attributes) for when in ways[:TOGETHER_MAX])]
    if any(when.windows for when in of_all):
        # Where no window is asked for all of them are open, and what forbids in one of them would hide the rest.
        asked += [replace(each, windows=()) for each in asked if each.windows is None]
    if away := elsewhere(of_all):
        local = [(each, each.there) for each in asked if each.there is not None and each.there.address is None]
        asked += [replace(each, there=replace(there, address=away)) for each, there in local if subject.there is None]
    return asked, unseen + max(0, len(ways) - TOGETHER_MAX)


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
