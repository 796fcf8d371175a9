"""What a policy grants and nobody needs, as far as its use was observed, and the narrower policy as texts.

Never used is said of permits alone: a forbid that nobody runs into does its work. A permit that was used for one
topic, or for each identity's own of one pattern, can be that pattern.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import product

import tomlkit
from tomlkit.items import AoT, Array

from bartizan.errors import InvalidValue
from bartizan.model.observation import RuleUse
from bartizan.policy.check import check_all
from bartizan.policy.compiled import Asked, filter_covers
from bartizan.policy.contract import Action, Effect, Literal, Pattern, PatternError, Rule, Variable, Wildcard
from bartizan.policy.explain import Explainer
from bartizan.policy.overlap import Filters
from bartizan.policy.places import Excerpt, Granted, Places
from bartizan.policy.rule_names import fingerprints
from bartizan.policy.samples import filter_for, suited
from bartizan.policy.subject import Ask, Subject

NOWHERE = "\ue000"
"""The filter of a rule that has none for this identity: no topic of a client is this one."""

_INDEX = re.compile(r"\[(\d+)\]\Z")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that could be narrower."""

    code: str
    """`unused-permit`, `wider-than-used`, `idle-identity` or `roles-alike`."""
    message: str
    at: Excerpt | None = None
    rule: Granted | None = None
    """The permit to remove, or to narrow."""
    narrower: str = ""
    """The pattern that is enough; empty: the permit goes."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when on use counts, and how much of it was watched."""

    since: datetime
    watched_since: datetime | None
    """Since when it was observed at all; None: never."""
    rules_since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when each rule is in force, by fingerprint."""
    lost_on: date | None = None
    """The last day of which uses are missing; None: of none."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """Why who is not seen may have been there nevertheless; empty where all of it was watched."""
        found = []
        if self.watched_since is None:
            found.append("use was never observed")
        elif self.watched_since > self.since:
            found.append(f"use is observed since {self.watched_since:%Y-%m-%d %H:%M} UTC only")
        if self.lost_on is not None and self.lost_on >= self.since.date():
            found.append(f"some uses are missing, the last on {self.lost_on}")
        return tuple(found)

    def has(self, rule: str) -> bool:
        """True for a rule that was in force for as long of it as anybody looked: of a younger one little is known."""
        since = self.rules_since.get(rule)
        return since is not None and self.watched_since is not None and since <= max(self.since, self.watched_since)


class Used:
    """Which permits of a policy were used in a period, and for what. `subjects`: all identities, as they are now."""

    def __init__(
        self, explainer: Explainer, uses: Iterable[RuleUse], period: Period, subjects: Sequence[Subject]
    ) -> None:
        self.period = period
        self.identities: set[str] = set()
        self._places = explainer.places
        self._named = fingerprints(explainer.image)
        self._subjects = {subject.identity: subject for subject in subjects}
        self.permits = tuple(rule for rule in self._places.by_name.values() if rule.effect is Effect.PERMIT)
        """Of the policy, in the order of its rules."""
        self._near = Filters([rule.pattern.widest_filter for rule in self.permits])
        self._by_rule: dict[str, list[RuleUse]] = {}
        rules: dict[str, list[Granted]] = {}
        for name, rule in self._places.by_name.items():
            rules.setdefault(self._named[name], []).append(rule)
        for use in uses:
            if use.last_on >= period.since.date():
                self.identities.add(use.identity)
                for rule in {use.rule} if self._is_permitted(rules.get(use.rule, ()), use) else self._instead(use):
                    self._by_rule.setdefault(rule, []).append(use)

    def subject(self, use: RuleUse) -> Subject | None:
        """Who used it, under that Client Identifier; None for who is no identity of the store: a token's bearer."""
        found = self._subjects.get(use.identity)
        return found and replace(found, client_id=use.client_id)

    def of(self, rule: Granted) -> Sequence[RuleUse]:
        """What this one was used for."""
        return self._by_rule.get(self._named[rule.name], ())

    def is_known(self, rule: Granted) -> bool:
        """Whether it was in force for long enough to say that nobody needs it."""
        return self.period.has(self._named[rule.name])

    def _is_permitted(self, rules: Sequence[Granted], use: RuleUse) -> bool:
        """Whether it still is the same rule that is asked when this is used again."""
        who = self.subject(use)
        return any(
            who is None
            or (rule.role.name in self._roles(who) and filter_covers(filter_for(rule, who) or NOWHERE, use.topic))
            for rule in rules
        )

    def _instead(self, use: RuleUse) -> Iterator[str]:
        """The policy or the identity has changed: every permit that may be the one by now, rather too many."""
        who = self.subject(use)
        roles = None if who is None else self._roles(who)
        is_of_several = use.is_of_several(self.period.since.date())
        near = range(len(self.permits)) if is_of_several else self._near.meeting(use.topic)
        for rule in (self.permits[at] for at in near):
            if roles is None or rule.role.name in roles:
                yield self._named[rule.name]

    def _roles(self, who: Subject) -> frozenset[str]:
        return frozenset(role.name for name in who.roles for role in self._places.included(name))


def narrow(
    explainer: Explainer,
    subjects: Sequence[Subject],
    used: Used,
    last_seen: Mapping[str, date],
    strangers: Sequence[Subject] = (),
) -> list[Advice]:
    """What could be narrower. `subjects`: all identities, with their roles; `strangers`: who else may have a role."""
    return [
        *_unneeded(explainer.places, [*subjects, *strangers], used),
        *_idle(subjects, used, last_seen),
        *_alike(explainer),
    ]


def unknown(used: Used) -> int:
    """Of how many permits nothing is said, because they are younger than the period."""
    return sum(not used.is_known(rule) for rule in used.permits)


def narrowed(explainer: Explainer, advice: Iterable[Advice], used: Used) -> dict[str, str]:
    """The texts that differ once this advice is taken, by origin.

    `ValueError` if that would be no policy, or if it would take away what was used.
    """
    places = explainer.places
    edits = [each for each in advice if each.rule is not None]
    documents = {origin: tomlkit.parse(text) for origin, text in places.texts.items()}
    # From the end of a list to its beginning: what is removed moves those behind it.
    for each in sorted(edits, key=lambda each: _index(each.rule), reverse=True):
        if each.rule is not None and each.at is not None:
            _edit(documents[each.at.file], each.rule, each.narrower)
    _unbind(list(documents.values()))
    texts = {origin: tomlkit.dumps(document) for origin, document in documents.items()}
    result = check_all(list(texts.items()))
    if not result.ok:
        raise ValueError(f"narrowed it would be no policy: {result.errors[0]}")
    _check_kept(explainer, Explainer(result), used)
    return {origin: text for origin, text in texts.items() if text != places.texts[origin]}


def _check_kept(before: Explainer, after: Explainer, used: Used) -> None:
    """Asks both policies for everything that was used."""
    for rule in used.permits:
        for use in used.of(rule):
            # A token's bearer has had the role at least.
            subject = used.subject(use) or Subject(use.identity, use.client_id, (rule.role.name,))
            for ask, each in product(_asks(rule, use.topic), _as_wanted(subject, rule)):
                if before.decide(each, ask)[0].allow and not after.decide(each, ask)[0].allow:
                    raise ValueError(f"narrowed it would refuse {use.identity} what it used: {ask}")


def _as_wanted(subject: Subject, rule: Granted) -> Sequence[Subject]:
    """The subject, and as the rule's condition asks for it."""
    return [subject, *suited(subject, [rule], keeps_attributes=True)]


def _asks(rule: Granted, topic: str) -> Iterator[Ask]:
    """What the rule may have been used for with this topic."""
    for action in rule.actions:
        try:
            yield Ask(Asked(action.value), topic)
        except InvalidValue:
            # A Topic Filter is subscribed to alone.
            continue


def _unneeded(places: Places, subjects: Sequence[Subject], used: Used) -> Iterator[Advice]:
    held = {role.name for subject in subjects for name in subject.roles for role in places.included(name)}
    for rule in used.permits:
        if rule.role.name not in held or not used.is_known(rule):
            continue
        at, uses = places.excerpt(rule), used.of(rule)
        if not uses:
            words = f"{' and '.join(rule.actions)} {rule.pattern.text}: {rule.role.name} has it and nobody used it"
            yield Advice("unused-permit", words, at, rule)
        elif (enough := _enough(rule, uses, used)) is not None:
            words = f"{' and '.join(rule.actions)} {rule.pattern.text}: {rule.role.name} used it for {enough} alone"
            yield Advice("wider-than-used", words, at, rule, enough)


def _enough(rule: Granted, uses: Sequence[RuleUse], used: Used) -> str | None:
    """The one narrower pattern that a permit of a role's own was used for; None if there are several, or none."""
    since = used.period.since.date()
    if not isinstance(rule.origin, Rule) or any(use.is_of_several(since) for use in uses):
        return None
    found = {_pattern(rule, use, used.subject(use)) for use in uses}
    if len(found) != 1:
        return None
    (pattern,) = found
    if pattern is None or pattern.text == rule.pattern.text:
        return None
    wide, narrow = rule.scope, rule.role.scope(pattern)
    return pattern.text if filter_covers(wide, narrow) and not filter_covers(narrow, wide) else None


def _pattern(rule: Granted, use: RuleUse, subject: Subject | None) -> Pattern | None:
    """The topic, level by level as the permit has it; where that is free, by a variable of the role if it is its value.

    None if no policy can spell it.
    """
    who = subject or Subject(use.identity, use.client_id)
    own = rule.pattern.levels
    levels: list[str] = []
    for at, seen in enumerate(use.topic.split("/")):
        said = own[at] if at < len(own) else Wildcard.MANY
        if isinstance(said, Variable) and rule.role.bound_to(said.name):
            # It was this value that the permit had, whatever the identity's is by now.
            levels.append(f"{{{said.name}}}")
            continue
        variable = next((name for name, source in rule.role.binds if who.value(source) == seen), None)
        if variable is None and seen.startswith("{"):
            # A level such as "{x}" of the topic itself is a variable in a policy.
            return None
        levels.append(seen if variable is None or isinstance(said, Literal) else f"{{{variable}}}")
    try:
        return Pattern.parse("/".join(levels))
    except PatternError:
        return None


def _idle(subjects: Sequence[Subject], used: Used, last_seen: Mapping[str, date]) -> Iterator[Advice]:
    active, since = used.identities, used.period.since.date()
    for subject in subjects:
        seen = last_seen.get(subject.identity)
        if subject.identity not in active and (seen is None or seen < since):
            when = "was never seen" if seen is None else f"was last seen on {seen}"
            yield Advice("idle-identity", f"{subject.identity} {when}: disable or remove it, if it is gone")


def _alike(explainer: Explainer) -> Iterator[Advice]:
    by_meaning: dict[str, list[str]] = {}
    for role in json.loads(explainer.image)["roles"]:
        rules = sorted(
            json.dumps({k: v for k, v in rule.items() if k != "name"}, sort_keys=True) for rule in role["rules"]
        )
        rest = {key: value for key, value in role.items() if key not in {"name", "rules"}}
        if rules:
            by_meaning.setdefault(json.dumps([rules, rest], sort_keys=True), []).append(role["name"])
    for names in by_meaning.values():
        if len(names) > 1:
            yield Advice("roles-alike", f"the roles {', '.join(names)} grant the same: one of them is enough")


def _index(rule: Granted | None) -> int:
    found = _INDEX.search(rule.name) if rule is not None else None
    return int(found[1]) if found else -1


def _edit(document: tomlkit.TOMLDocument, rule: Granted, narrower: str) -> None:
    if not isinstance(rule.origin, Rule):
        roles = document["topics"][rule.origin.template.text][rule.actions[0].value]  # type: ignore[index]
        if isinstance(roles, Array):
            roles.remove(rule.role.name)
        return
    permits = document["roles"][rule.role.name][rule.effect.value]  # type: ignore[index]
    if isinstance(permits, Array | AoT):
        if narrower:
            permits[_index(rule)]["filter"] = narrower  # type: ignore[index]
        else:
            del permits[_index(rule)]


def _unbind(documents: Sequence[tomlkit.TOMLDocument]) -> None:
    """Takes away variables that nothing has any more: a policy with such a one is refused."""
    topics = [each for document in documents for each in document.get("topics", {}).items()]
    for document in documents:
        for name, role in document.get("roles", {}).items():
            rules = (rule for key in ("permit", "forbid", "owns") for rule in role.get(key, ()))
            patterns = [rule if isinstance(rule, str) else rule["filter"] for rule in rules]
            patterns += [
                text for text, topic in topics if any(name in topic.get(action.value, ()) for action in Action)
            ]
            used = {variable for pattern in patterns for variable in Pattern.parse(pattern).variables}
            binds = role.get("binds", {})
            for variable in [each for each in binds if each not in used]:
                del binds[variable]
            if not binds:
                role.pop("binds", None)
