"""Two policies compared by what they decide, not by their text: what each role gains and loses, with examples.

Only rules that are in one of the two can make a difference. For each of them the requests that stand for
it are asked of both policies; where the answers differ, that is a change.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bartizan.model.principal import Identity
from bartizan.policy.contract import Role
from bartizan.policy.explain import Explainer
from bartizan.policy.places import Excerpt, Granted
from bartizan.policy.samples import Samples, exemplars
from bartizan.policy.subject import Ask, Subject

CHANGES_MAX = 200
"""Changes told of one role or identity."""


@dataclass(frozen=True, slots=True)
class Change:
    """One request that the two decide differently, and the rule that makes the difference."""

    gained: bool
    example: Ask
    pattern: str
    at: Excerpt
    why: str

    @property
    def sign(self) -> str:
        """`+` for what is newly allowed, `-` for what no longer is."""
        return "+" if self.gained else "-"


@dataclass(frozen=True, slots=True)
class Changed:
    """What one role, identity or session gains and loses."""

    subject: Subject
    changes: tuple[Change, ...]
    limits: tuple[tuple[str, int | None, int | None], ...] = ()
    """Name, value before, value after; None where the listener's holds."""


class Comparison:
    """An old and a new policy."""

    def __init__(self, old: Explainer, new: Explainer) -> None:
        self._old = old
        self._new = new
        self._roles = _by_name((*old.places.policy.roles, *new.places.policy.roles))
        self._limits_of = tuple(_limits(side) for side in (old, new))
        self._differing = _differing(old, new)

    def roles(self) -> Iterator[Changed]:
        """The roles of which somebody gains or loses, by name."""
        for name in sorted(self._roles):
            forms = self._roles[name]
            limits = self._limits(name)
            if name not in self._differing and not limits:
                continue
            changes: dict[tuple[bool, str], Change] = {}
            first, *others = exemplars(*forms)
            for subject in (first, *others):
                for change in self._of(subject):
                    changes.setdefault((change.gained, change.pattern + change.example.action), change)
            if changes or limits:
                yield Changed(first, _sorted(changes.values()), limits)

    def subjects(self, subjects: Iterable[Subject]) -> Iterator[Changed]:
        """Those who gain or lose: identities, or live sessions."""
        for subject in subjects:
            changes = _sorted(self._of(subject))
            if changes:
                yield Changed(subject, changes)

    def identities(self, identities: Iterable[Identity]) -> Iterator[Changed]:
        """The identities that gain or lose."""
        yield from self.subjects(Subject.of(identity) for identity in identities)

    def _of(self, subject: Subject) -> Iterator[Change]:
        if not any(role in self._differing for role in subject.roles):
            return
        both = [
            rule
            for side in (self._old, self._new)
            for role in subject.roles
            for rule in side.places.by_role.get(role, ())
        ]
        samples = Samples(subject, both)
        told: set[Ask] = set()
        for role in subject.roles:
            for side, rule in self._differing.get(role, ()):
                for change in self._by(subject, side, rule, samples):
                    if change.example not in told:
                        told.add(change.example)
                        yield change

    def _by(self, subject: Subject, side: Explainer, rule: Granted, samples: Samples) -> Iterator[Change]:
        """The first example of each action and direction that this rule changes."""
        seen: set[tuple[bool, str]] = set()
        for ask in samples.of(rule):
            before, old_rule = self._old.decide(subject, ask)
            after, new_rule = self._new.decide(subject, ask)
            if before.allow is after.allow or (after.allow, ask.action) in seen:
                continue
            seen.add((after.allow, ask.action))
            # A topic lost to a new forbid is told by that forbid; one lost with its permit, by the permit.
            decisive = new_rule if after.allow or after.why == "forbidden" else old_rule
            of = self._new if decisive is new_rule else self._old
            chosen, of = (decisive, of) if decisive else (rule, side)
            why = str(after).partition(": ")[2].partition(" (")[0]
            yield Change(after.allow, ask, chosen.pattern.text, of.places.excerpt(chosen), why)

    def _limits(self, name: str) -> tuple[tuple[str, int | None, int | None], ...]:
        before, after = (limits.get(name, {}) for limits in self._limits_of)
        keys = sorted(before.keys() | after.keys())
        return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def _limits(side: Explainer) -> dict[str, dict[str, int]]:
    return {role.name: dict(role.limits) for role in side.places.policy.roles}


def _by_name(roles: Iterable[Role]) -> dict[str, tuple[Role, ...]]:
    """The forms of each role: one of each policy that has it."""
    found: dict[str, tuple[Role, ...]] = {}
    for role in roles:
        found[role.name] = (*found.get(role.name, ()), role)
    return found


def _differing(old: Explainer, new: Explainer) -> Mapping[str, Sequence[tuple[Explainer, Granted]]]:
    """By role, the rules that only one of the two has."""
    before, after = _rules(old), _rules(new)
    found: dict[str, list[tuple[Explainer, Granted]]] = {}
    for role in before.keys() | after.keys():
        mine, other = before.get(role, {}), after.get(role, {})
        only = [(old, mine[key]) for key in mine if key not in other]
        only += [(new, other[key]) for key in other if key not in mine]
        if only:
            found[role] = [(side, side.places.by_name[name]) for side, name in only]
    return found


def _rules(side: Explainer) -> dict[str, dict[str, str]]:
    """By role, what each rule is to the engine, and its name."""
    image = json.loads(side.image)
    return {
        role["name"]: {
            json.dumps({key: value for key, value in rule.items() if key != "name"}, sort_keys=True): rule["name"]
            for rule in role["rules"]
        }
        for role in image["roles"]
    }


def _sorted(changes: Iterable[Change]) -> tuple[Change, ...]:
    order = sorted(changes, key=lambda each: (not each.gained, each.example.action, each.pattern, str(each.example)))
    return tuple(order[:CHANGES_MAX])
