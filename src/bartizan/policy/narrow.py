"""What a policy grants and nobody needs, as far as its use was observed, and the narrower policy as texts.

Never used is said of permits alone: a forbid that nobody runs into does its work. A permit that was used for one
topic, or for each identity's own of one pattern, can be that pattern.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import tomlkit
from tomlkit.items import AoT, Array

from bartizan.model.observation import RuleUse
from bartizan.policy.check import check_all
from bartizan.policy.contract import Effect, Pattern, PatternError, Rule, Variable
from bartizan.policy.explain import Explainer
from bartizan.policy.places import Excerpt, Granted, Places
from bartizan.policy.subject import Subject

_NO_LEVEL = frozenset("/+#\0")
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
    """From when on use counts."""

    since: date
    watched_since: date | None
    """Since when it was observed at all; None: never."""

    @property
    def is_whole(self) -> bool:
        """False if it began before anybody looked: who is not seen may have been there before."""
        return self.watched_since is not None and self.watched_since <= self.since


def narrow(
    explainer: Explainer,
    subjects: Sequence[Subject],
    uses: Iterable[RuleUse],
    period: Period,
    last_seen: Mapping[str, date],
    strangers: Sequence[Subject] = (),
) -> list[Advice]:
    """What could be narrower. `subjects`: all identities, with their roles; `strangers`: who else may have a role."""
    places = explainer.places
    used: dict[str, list[RuleUse]] = {}
    for use in uses:
        if use.last_on >= period.since:
            used.setdefault(use.rule, []).append(use)
    return [
        *_unneeded(places, [*subjects, *strangers], used),
        *_idle(subjects, used, period, last_seen),
        *_alike(explainer),
    ]


def narrowed(places: Places, advice: Iterable[Advice]) -> dict[str, str]:
    """The texts that differ once this advice is taken, by origin. `ValueError` if that would be no policy."""
    edits = [each for each in advice if each.rule is not None]
    documents = {origin: tomlkit.parse(text) for origin, text in places.texts.items()}
    # From the end of a list to its beginning: what is removed moves those behind it.
    for each in sorted(edits, key=lambda each: _index(each.rule), reverse=True):
        if each.rule is not None and each.at is not None:
            _edit(documents[each.at.file], each.rule, each.narrower)
    texts = {origin: tomlkit.dumps(document) for origin, document in documents.items()}
    result = check_all(list(texts.items()))
    if not result.ok:
        raise ValueError(f"narrowed it would be no policy: {result.errors[0]}")
    return {origin: text for origin, text in texts.items() if text != places.texts[origin]}


def _unneeded(places: Places, subjects: Sequence[Subject], used: Mapping[str, Sequence[RuleUse]]) -> Iterator[Advice]:
    held = {role.name for subject in subjects for name in subject.roles for role in places.included(name)}
    known = {subject.identity: subject for subject in subjects}
    for name, rule in places.by_name.items():
        if rule.effect is not Effect.PERMIT or rule.role.name not in held:
            continue
        at = places.excerpt(rule)
        if name not in used:
            words = f"{' and '.join(rule.actions)} {rule.pattern.text}: {rule.role.name} has it and nobody used it"
            yield Advice("unused-permit", words, at, rule)
        elif (enough := _enough(rule, used[name], known)) is not None:
            words = f"{' and '.join(rule.actions)} {rule.pattern.text}: {rule.role.name} used it for {enough} alone"
            yield Advice("wider-than-used", words, at, rule, enough)


def _enough(rule: Granted, uses: Sequence[RuleUse], known: Mapping[str, Subject]) -> str | None:
    """The one pattern that a permit of a role's own was used for; None if there are several, or it is that one."""
    if not isinstance(rule.origin, Rule) or any(use.several for use in uses):
        return None
    found = {_pattern(rule, use.topic, known.get(use.identity)) for use in uses}
    if len(found) != 1:
        return None
    (pattern,) = found
    is_wide = bool({"+", "#"} & set(rule.scope.split("/")))
    return pattern if is_wide and pattern != rule.pattern.text else None


def _pattern(rule: Granted, topic: str, subject: Subject | None) -> str | None:
    """The topic, with values that the role binds as its variables; None if no policy can spell it."""
    levels: list[str] = []
    for level in topic.split("/"):
        bound = (name for name, source in rule.role.binds if subject is not None and subject.value(source) == level)
        variable = None if _NO_LEVEL & set(level) else next(bound, None)
        levels.append(level if variable is None else f"{{{variable}}}")
    text = "/".join(levels)
    try:
        pattern = Pattern.parse(text)
    except PatternError:
        return None
    variables = [f"{{{level.name}}}" for level in pattern.levels if isinstance(level, Variable)]
    # A level such as "{x}" of the topic itself is a variable in a policy.
    return (
        text if len(variables) == sum(own != seen for own, seen in zip(levels, topic.split("/"), strict=True)) else None
    )


def _idle(
    subjects: Sequence[Subject], used: Mapping[str, Sequence[RuleUse]], period: Period, last_seen: Mapping[str, date]
) -> Iterator[Advice]:
    active = {use.identity for uses in used.values() for use in uses}
    for subject in subjects:
        seen = last_seen.get(subject.identity)
        if subject.identity not in active and (seen is None or seen < period.since):
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
