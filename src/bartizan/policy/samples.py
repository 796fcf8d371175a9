"""What to ask a policy about a rule: requests that stand for all that the rule can change.

A rule changes decisions only where it applies; there, other rules of the same role may permit or forbid
already. So a topic of the rule that is as free as can be, and one of each part that it shares with
another rule, are enough to see whether anything changes. The answers are the engine's.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bartizan.policy.compiled import Asked
from bartizan.policy.contract import Action, Literal, Pattern, Role, Variable, Wildcard
from bartizan.policy.overlap import MANY, ONE, Filters, meet
from bartizan.policy.places import Granted
from bartizan.policy.subject import Ask, Subject

_MODES: Final = tuple((qos, retain) for retain in (False, True) for qos in (0, 1, 2))


def filter_for(rule: Granted, subject: Subject) -> str | None:
    """The filter that the rule is for this subject; None if a value that it needs is missing."""
    levels: list[str] = []
    for level in rule.pattern.levels:
        if isinstance(level, Variable) and (source := rule.role.bound_to(level.name)):
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

    def __init__(self, subject: Subject, rules: Sequence[Granted]) -> None:
        self._rules = [(rule, text) for rule in rules if (text := filter_for(rule, subject)) is not None]
        self._filters = [text for _, text in self._rules]
        self._near = Filters(self._filters)
        self._spelt = {level for text in self._filters for level in text.split("/")}
        self._subject = subject

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
                        yield from (Ask(Asked.PUBLISH, topic, qos, retain) for qos, retain in _MODES)
            if Action.SUBSCRIBE in rule.actions:
                yield Ask(Asked.SUBSCRIBE, filter)
                yield from (Ask(Asked.SUBSCRIBE, topic) for topic in self.topics(filter, rule.pattern))

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


def exemplars(*roles: Role) -> tuple[Subject, ...]:
    """Whoever has this role, with all that any form of it binds: one whose Client Identifier is its name, one whose is not."""
    binds = tuple(dict.fromkeys(bind for role in roles for bind in role.binds))
    one = Subject.exemplar(Role(roles[0].name, roles[0].at, binds=binds))
    return one, Subject(one.identity, f"{one.identity}-a", one.roles, one.attributes)
