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
from bartizan.policy.rule_names import meaning
from bartizan.policy.samples import Samples, exemplars, suited, suited_together
from bartizan.policy.subject import Ask, Subject

NOTHING = "nothing"
"""What a role says of something that it does not mention; of a condition: it counts always."""

ASKS_MAX = 60_000
"""Requests that are asked of both policies about one role or identity; what is left over is named."""

CHANGES_MAX = 200
"""Changes told of one role or identity."""


@dataclass(frozen=True, slots=True)
class Change:
    """One request that the two decide differently, and the rule that makes the difference."""

    gained: bool
    example: Ask
    by: Subject
    """Who, as connected, it is decided for."""
    pattern: str
    at: Excerpt
    why: str

    @property
    def sign(self) -> str:
        """`+` for what is newly allowed, `-` for what no longer is."""
        return "+" if self.gained else "-"


@dataclass(frozen=True, slots=True)
class Term:
    """Something else that a role says, before and after."""

    of: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changed:
    """What one role, identity or session gains and loses."""

    subject: Subject
    changes: tuple[Change, ...]
    limits: tuple[tuple[str, int | None, int | None], ...] = ()
    """Name, value before, value after; None where the listener's holds."""
    terms: tuple[Term, ...] = ()
    """Conditions of its rules, what it includes, names and ages that it demands."""


class Comparison:
    """An old and a new policy."""

    def __init__(self, old: Explainer, new: Explainer) -> None:
        self._old = old
        self._new = new
        self._roles = {role.name for side in (old, new) for role in side.places.policy.roles}
        self._terms_of = tuple(_terms(side) for side in (old, new))
        self._limits_of = tuple(_limits(side) for side in (old, new))
        self._differing = _differing(old, new)
        self._asks_left = ASKS_MAX
        self.not_looked_at: dict[str, None] = {}
        """What was too much to look at, of what was asked for so far: there may be further differences."""

    def roles(self) -> Iterator[Changed]:
        """The roles of which somebody gains or loses, by name."""
        for name in sorted(self._roles):
            limits = self._limits(name)
            terms = tuple(self._terms(name))
            if name not in self._differing and not limits and not terms:
                continue
            changes: dict[tuple[bool, str], Change] = {}
            self._asks_left = ASKS_MAX
            first, *others = exemplars(name, self._old.places, self._new.places)
            for subject in _each_once([first, *others, *self._together(first)]):
                for change in self._of(subject, f"role {name}"):
                    changes.setdefault((change.gained, change.pattern + change.example.action), change)
            if changes or limits or terms:
                yield Changed(first, _sorted(changes.values()), limits, terms)

    def tenants(self) -> Iterator[Term]:
        """Tenants that are new, gone, elsewhere or have other limits, by name."""
        sides = [{each.name: str(each) for each in side.places.policy.tenants} for side in (self._old, self._new)]
        before, after = sides
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield Term(name, before.get(name, NOTHING), after.get(name, NOTHING))

    def subjects(self, subjects: Iterable[Subject]) -> Iterator[Changed]:
        """Those who gain or lose: identities, or live sessions."""
        for subject in subjects:
            found: dict[tuple[bool, Ask], Change] = {}
            self._asks_left = ASKS_MAX
            more = suited(subject, self._rules_of(subject), keeps_attributes=True)
            for each in _each_once([subject, *more, *self._together(subject, keeps_attributes=True)]):
                for change in self._of(each, subject.identity):
                    found.setdefault((change.gained, change.example), change)
            if found:
                yield Changed(subject, _sorted(found.values()))

    def identities(self, identities: Iterable[Identity]) -> Iterator[Changed]:
        """The identities that gain or lose."""
        yield from self.subjects(Subject.of(identity) for identity in identities)

    def _together(self, subject: Subject, *, keeps_attributes: bool = False) -> list[Subject]:
        """The subject as two conditions at once ask for it, one of them of a rule that differs."""
        changed = [rule for role in subject.roles for _, rule in self._differing.get(role, ())]
        found, unseen = suited_together(subject, changed, self._rules_of(subject), keeps_attributes=keeps_attributes)
        self._note(unseen, f"{', '.join(subject.roles)}: {unseen} more combinations of conditions")
        return found

    def _note(self, unseen: int, what: str) -> None:
        if unseen:
            self.not_looked_at[what] = None

    def _of(self, subject: Subject, what: str) -> Iterator[Change]:
        if not any(role in self._differing for role in subject.roles):
            return
        samples = Samples(subject, self._rules_of(subject), together=True)
        told: set[Ask] = set()
        for role in subject.roles:
            for side, rule in self._differing.get(role, ()):
                for change in self._by(subject, side, rule, samples):
                    if change.example not in told:
                        told.add(change.example)
                        yield change
        self._note(samples.unseen, f"{what}: {samples.unseen} more kinds of messages")
        self._note(int(self._asks_left <= 0), f"{what}: more than {ASKS_MAX:,} requests, of many conditions at once")

    def _rules_of(self, subject: Subject) -> list[Granted]:
        sides = (self._old.places, self._new.places)
        return [rule for places in sides for role in subject.roles for rule in places.by_role.get(role, ())]

    def _by(self, subject: Subject, side: Explainer, rule: Granted, samples: Samples) -> Iterator[Change]:
        """The first example of each action and direction that this rule changes."""
        seen: set[tuple[bool, str]] = set()
        for ask in samples.of(rule):
            self._asks_left -= 1
            if self._asks_left < 0:
                return
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
            yield Change(after.allow, ask, subject, chosen.pattern.text, of.places.excerpt(chosen), why)

    def _terms(self, name: str) -> Iterator[Term]:
        before, after = (terms.get(name, {}) for terms in self._terms_of)
        for of in sorted(before.keys() | after.keys()):
            if before.get(of, "") != after.get(of, ""):
                yield Term(of, before.get(of, "") or NOTHING, after.get(of, "") or NOTHING)

    def _limits(self, name: str) -> tuple[tuple[str, int | None, int | None], ...]:
        before, after = (limits.get(name, {}) for limits in self._limits_of)
        keys = sorted(before.keys() | after.keys())
        return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def _each_once(subjects: Iterable[Subject]) -> Iterator[Subject]:
    """The subjects without those that are there already: attributes are a table, which has no hash."""
    told: set[object] = set()
    for subject in subjects:
        key = (subject.client_id, tuple(sorted(subject.attributes.items())), subject.there, subject.windows)
        if key not in told:
            told.add(key)
            yield subject


def _limits(side: Explainer) -> dict[str, dict[str, int]]:
    return {role.name: dict(role.limits) for role in side.places.policy.roles}


def _terms(side: Explainer) -> dict[str, dict[str, str]]:
    """By role, what it says beside rules and limits, by what it is of."""
    return {role.name: _terms_of(side, role) for role in side.places.policy.roles}


def _terms_of(side: Explainer, role: Role) -> dict[str, str]:
    found = {
        "includes": ", ".join(sorted(role.includes)),
        "owns": ", ".join(sorted(map(str, role.owns))),
        "client_id": ", ".join(sorted(role.client_ids)),
        "user_name": ", ".join(sorted(role.user_names)),
        **{f"credentials.{kind}_days_max": str(days) for kind, days in role.credential_days_max},
    }
    whens: dict[str, list[str]] = {}
    for rule in side.places.by_role[role.name]:
        if rule.role.name == role.name:
            words = [rule.effect, " and ".join(rule.actions), rule.pattern.text]
            whens.setdefault(" ".join(words), []).append(_when(side, rule))
    return found | {of: "; or ".join(sorted(conditions)) for of, conditions in whens.items() if any(conditions)}


def _when(side: Explainer, rule: Granted) -> str:
    """The condition of a rule, with the hours of its windows; "" where it counts always."""
    if not rule.when:
        return ""
    hours = {each.name: str(each) for each in side.places.policy.windows}
    told = rule.when.as_image() | {"window": [hours[name] for name in rule.when.windows]}
    return ", ".join(f"{part} {json.dumps(value, ensure_ascii=False)}" for part, value in told.items() if value != [])


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
    """By role, what each rule is to the engine, and its name; with those of the roles that it includes."""
    image = json.loads(side.image)
    hours = {window["name"]: window for window in image.get("windows", ()) if isinstance(window, dict)}
    own = {role["name"]: {meaning(rule, hours): rule["name"] for rule in role["rules"]} for role in image["roles"]}
    return {name: {k: v for role in side.places.included(name) for k, v in own[role.name].items()} for name in own}


def _sorted(changes: Iterable[Change]) -> tuple[Change, ...]:
    order = sorted(changes, key=lambda each: (not each.gained, each.example.action, each.pattern, str(each.example)))
    return tuple(order[:CHANGES_MAX])
