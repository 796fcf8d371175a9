"""What a policy says to people: its topics, who writes and who reads each, its roles. The pages are made of this.

Who may is asked of the engine: a role is named where somebody who has it, and the values it binds, may.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bartizan.policy.compiled import Asked
from bartizan.policy.contract import Action, Effect, Role, Topic, Variable
from bartizan.policy.explain import Explainer
from bartizan.policy.overlap import Filters, meet
from bartizan.policy.places import Granted
from bartizan.policy.samples import Samples, exemplars, filter_for
from bartizan.policy.subject import Ask, Subject

UNITS: Final[Mapping[str, str]] = {
    "Cel": "°C",
    "[degF]": "°F",
    "K": "K",
    "%": "%",
    "1": "a number",
    "{count}": "a count",
    "m/s": "m/s",
    "m/s2": "m/s²",
    "m2": "m²",
    "m3": "m³",
    "m3/h": "m³/h",
    "um": "µm",
    "Ohm": "Ω",
    "deg": "°",
    "W.h": "Wh",
    "kW.h": "kWh",
    "/min": "per minute",
    "1/min": "per minute",
    "/s": "per second",
}
"""UCUM codes as people write them; any other is shown as it stands."""

SOURCES: Final[Mapping[str, str]] = {"client_id": "Client ID", "identity": "name"}


@dataclass(frozen=True, slots=True)
class Party:
    """A role that may publish or subscribe to a topic, and how much of it."""

    role: str
    own: tuple[tuple[str, str], ...]
    """Variables that must be its own, and what they are of it: `site`, `attribute site`."""
    by: str
    """The wider filter that lets it; empty where the topic names the role."""
    but: tuple[str, ...]
    """Filters of which it is forbidden a part of the topic."""


@dataclass(frozen=True, slots=True)
class TopicEntry:
    """A topic as the page shows it."""

    topic: Topic
    number: int
    writers: tuple[Party, ...]
    readers: tuple[Party, ...]
    example: str

    @property
    def name(self) -> str:
        """Its title, or else its template."""
        return self.topic.title or self.topic.template.text

    @property
    def unit(self) -> str:
        """The unit as people write it."""
        return UNITS.get(self.topic.unit, self.topic.unit)

    @property
    def family(self) -> str:
        """The first level: topics with the same one stand together."""
        return self.topic.template.text.split("/")[0]

    @property
    def anchor(self) -> str:
        """Names it inside the page."""
        return f"topic-{self.number}"


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """A role as the page shows it."""

    role: Role
    publishes: tuple[str, ...]
    subscribes: tuple[str, ...]

    @property
    def own(self) -> tuple[tuple[str, str], ...]:
        """Its variables, and what they are of an identity."""
        return tuple((variable, of_identity(source)) for variable, source in self.role.binds)


@dataclass(frozen=True, slots=True)
class Page:
    """All of a policy."""

    title: str
    dated: str
    digest: str
    topics: tuple[TopicEntry, ...]
    roles: tuple[RoleEntry, ...]

    @property
    def families(self) -> Mapping[str, Sequence[TopicEntry]]:
        """The topics by their first level, in order."""
        found: dict[str, list[TopicEntry]] = {}
        for entry in self.topics:
            found.setdefault(entry.family, []).append(entry)
        return found


def of_identity(source: str) -> str:
    """What a variable is bound to, in words."""
    return SOURCES.get(source, f"attribute {source.removeprefix('attr.')}")


def page_of(explainer: Explainer, title: str, dated: str) -> Page:
    """The page of a policy."""
    policy = explainer.places.policy
    parties = _Parties(explainer)
    topics = sorted(policy.topics, key=lambda topic: topic.template.text)
    entries = tuple(
        TopicEntry(
            topic,
            number,
            parties.of(topic, Action.PUBLISH),
            parties.of(topic, Action.SUBSCRIBE),
            _example(topic),
        )
        for number, topic in enumerate(topics, start=1)
    )
    roles = tuple(_role_entry(role, explainer.places.by_role[role.name]) for role in policy.roles)
    return Page(title, dated, explainer.digest, entries, roles)


def _role_entry(role: Role, rules: Sequence[Granted]) -> RoleEntry:
    def permitted(action: Action) -> tuple[str, ...]:
        texts = [rule.pattern.text for rule in rules if rule.effect is Effect.PERMIT and action in rule.actions]
        return tuple(sorted(set(texts)))

    return RoleEntry(role, permitted(Action.PUBLISH), permitted(Action.SUBSCRIBE))


def _example(topic: Topic) -> str:
    levels = [f"{level.name}-1" if isinstance(level, Variable) else None for level in topic.template.levels]
    spelt = topic.template.widest_filter.split("/")
    names = [word or text for word, text in zip(levels, spelt, strict=True)]
    return "/".join("any" if name == "#" else name for name in names)


class _Parties:
    """Finds the roles of a topic without asking every role about every topic."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer
        self._rules = [
            rule for rules in explainer.places.by_role.values() for rule in rules if rule.effect is Effect.PERMIT
        ]
        self._near = Filters([rule.pattern.widest_filter for rule in self._rules])

    def of(self, topic: Topic, action: Action) -> tuple[Party, ...]:
        """The roles that may, by name; those that the topic names first."""
        found: dict[str, Party] = {}
        near = [self._rules[at] for at in self._near.meeting(topic.template.widest_filter)]
        for rule in sorted(near, key=lambda each: not (each.is_of_topic and each.origin is topic)):
            if action in rule.actions and rule.role.name not in found and self._may(rule, topic, action):
                found[rule.role.name] = self._party(rule, topic, action)
        return tuple(sorted(found.values(), key=lambda party: (bool(party.by), party.role)))

    def _may(self, rule: Granted, topic: Topic, action: Action) -> bool:
        for subject in exemplars(rule.role):
            for ask in self._asks(rule, topic, action, subject):
                if self._explainer.decide(subject, ask)[0].allow:
                    return True
        return False

    def _asks(self, rule: Granted, topic: Topic, action: Action, subject: Subject) -> list[Ask]:
        """Requests for what the rule and the topic share."""
        declared = Granted("", rule.role, Effect.PERMIT, (action,), topic.template, topic.qos_max, topic.retain, topic)
        mine, other = filter_for(rule, subject), filter_for(declared, subject)
        shared = None if mine is None or other is None else meet(mine, other)
        if shared is None:
            return []
        rules = self._explainer.places.by_role[rule.role.name]
        names = Samples(subject, rules).topics(shared, topic.template)
        if action is Action.PUBLISH:
            return [Ask(Asked.PUBLISH, name) for name in names if not name.startswith("$")]
        return [Ask(Asked.SUBSCRIBE, shared), *(Ask(Asked.RECEIVE, name) for name in names)]

    def _party(self, rule: Granted, topic: Topic, action: Action) -> Party:
        is_named = rule.is_of_topic and rule.origin is topic
        own = [
            (level.name, of_identity(source))
            for level in rule.pattern.levels
            if isinstance(level, Variable) and (source := rule.role.bound_to(level.name))
        ]
        but = [
            other.pattern.text
            for other in self._explainer.places.by_role[rule.role.name]
            if other.effect is Effect.FORBID
            and action in other.actions
            and meet(other.pattern.widest_filter, topic.template.widest_filter)
        ]
        return Party(rule.role.name, tuple(own), "" if is_named else rule.pattern.text, tuple(sorted(set(but))))
