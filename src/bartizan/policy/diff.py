"""Two policies compared by what they decide, not by their text: what each role gains and loses, with examples.

Only rules that are in one of the two can make a difference. For each of them the requests that stand for
it are asked of both policies; where the answers differ, that is a change.

What is asked is asked at best: every time window open, the circumstances of a connection as the rules want them. So
a change of a condition need not show in any answer, and is told apart, as are those of names and ages.
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

NOTHING = "nothing"
"""What a role says of something that it does not mention; of a condition: it counts always."""

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
    terms: tuple["Term", ...] = ()
    """Conditions of its rules, what it includes, names and ages that it demands."""


@dataclass(frozen=True, slots=True)
class Term:
    """Something else that a role says, before and after."""

    of: str
    before: str
    after: str


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
            terms = tuple(self._terms(name))
            if not self._closed([name]) & self._differing.keys() and not limits and not terms:
                continue
            changes: dict[tuple[bool, str], Change] = {}
            first, *others = exemplars(*forms)
            for subject in (first, *others):
                for change in self._of(subject):
                    changes.setdefault((change.gained, change.pattern + change.example.action), change)
            if changes or limits or terms:
                yield Changed(first, _sorted(changes.values()), limits, terms)

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
        roles = sorted(self._closed(subject.roles))
        if not self._differing.keys() & set(roles):
            return
        both = [rule for side in (self._old, self._new) for role in roles for rule in side.places.by_role.get(role, ())]
        samples = Samples(subject, both)
        told: set[Ask] = set()
        for role in roles:
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

    def _closed(self, names: Iterable[str]) -> set[str]:
        """These roles and what they include in either policy."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [more for form in self._roles.get(name, ()) for more in form.includes]
        return found

    def _terms(self, name: str) -> Iterator[Term]:
        before, after = (_terms_of(side, name) for side in (self._old, self._new))
        for of in sorted(before.keys() | after.keys()):
            if before.get(of, "") != after.get(of, ""):
                yield Term(of, before.get(of, "") or NOTHING, after.get(of, "") or NOTHING)

    def _limits(self, name: str) -> tuple[tuple[str, int | None, int | None], ...]:
        before, after = (limits.get(name, {}) for limits in self._limits_of)
        keys = sorted(before.keys() | after.keys())
        return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def _terms_of(side: Explainer, name: str) -> dict[str, str]:
    """What a role says beside rules and limits, by what it is of."""
    role = next((each for each in side.places.policy.roles if each.name == name), None)
    if role is None:
        return {}
    found = {
        "includes": ", ".join(sorted(role.includes)),
        "client_id": ", ".join(sorted(role.client_ids)),
        "user_name": ", ".join(sorted(role.user_names)),
        **{f"credentials.{kind}_days_max": str(days) for kind, days in role.credential_days_max},
    }
    whens: dict[str, list[str]] = {}
    for rule in side.places.by_role.get(name, ()):
        words = [rule.effect, "and".join(f" {action} " for action in rule.actions).strip(), rule.pattern.text]
        whens.setdefault(" ".join(words), []).append(_when(side, rule))
    return found | {of: "; or ".join(sorted(conditions)) for of, conditions in whens.items() if any(conditions)}


def _when(side: Explainer, rule: Granted) -> str:
    """The condition of a rule, with the hours of its windows; "" where it counts always."""
    if not rule.origin.when:
        return ""
    hours = {each.name: str(each) for each in side.places.policy.windows}
    told = rule.origin.when.as_image() | {"window": [hours[name] for name in rule.origin.when.windows]}
    return ", ".join(f"{part} {json.dumps(value, ensure_ascii=False)}" for part, value in told.items() if value != [])


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
