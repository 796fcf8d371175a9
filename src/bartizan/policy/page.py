"""What a policy says to people: its topics, who writes and who reads each, its roles. The pages are made of this.

Who may is asked of the engine: a role is named where somebody who has it, and the values it binds, may.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bartizan.policy.compiled import Asked
from bartizan.policy.contract import Action, Effect, Policy, Role, Topic, Variable
from bartizan.policy.explain import Explainer
from bartizan.policy.overlap import Filters, meet
from bartizan.policy.payload import ENFORCE_WORDS, Enforce
from bartizan.policy.places import Granted
from bartizan.policy.samples import Samples, exemplars, filter_for
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.tenants import Tenant
from bartizan.policy.windows import Window
from bartizan.policy.words import condition_words

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
    when: str
    """The condition, in words; empty if it always may."""


@dataclass(frozen=True, slots=True)
class TopicEntry:
    """A topic as the page shows it."""

    topic: Topic
    number: int
    writers: tuple[Party, ...]
    readers: tuple[Party, ...]
    example: str
    owners: tuple[str, ...] = ()
    """Roles of whose identities each owns some of it: no one else publishes there."""
    enforce: Enforce = Enforce.OFF

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """What its messages are, and what becomes of one that is not: names and words."""
        topic = self.topic
        facts = [("Payload", str(topic.payload))] if topic.payload else []
        facts += [("At most", f"{topic.rate_per_s:,} per second and client")] if topic.rate_per_s else []
        facts += [("Of no use after", f"{topic.retention_s:,} s")] if topic.retention_s else []
        facts += [("Told of each", "whose it is, by the broker")] if topic.provenance else []
        return tuple(facts + ([("What is not so", ENFORCE_WORDS[self.enforce])] if topic.is_enforced else []))

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
    publishes: tuple[tuple[str, str], ...]
    """Filters, and under which condition."""
    subscribes: tuple[tuple[str, str], ...]

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
    windows: tuple[Window, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    undeclared: Enforce | None = None
    """What becomes of messages to topics that are not on it."""

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
            _owners(policy, topic),
            policy.enforced(topic),
        )
        for number, topic in enumerate(topics, start=1)
    )
    roles = tuple(_role_entry(role, explainer.places.by_role[role.name]) for role in policy.roles)
    more = (policy.windows, policy.tenants, policy.enforce)
    return Page(title, dated, explainer.digest, entries, roles, *more)


def _owners(policy: Policy, topic: Topic) -> tuple[str, ...]:
    mine = topic.template.widest_filter
    owning = (role.name for role in policy.roles for owned in role.owns if meet(owned.filter.widest_filter, mine))
    return tuple(dict.fromkeys(owning))


def _role_entry(role: Role, rules: Sequence[Granted]) -> RoleEntry:
    def permitted(action: Action) -> tuple[tuple[str, str], ...]:
        permits = [rule for rule in rules if rule.effect is Effect.PERMIT and action in rule.actions]
        return tuple(sorted({(rule.pattern.text, condition_words(rule.counts_when(action))) for rule in permits}))

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
        self._known: dict[str, Sequence[tuple[Subject, Samples]]] = {}
        self._rules = [
            (role, rule)
            for role, rules in explainer.places.by_role.items()
            for rule in rules
            if rule.effect is Effect.PERMIT
        ]
        self._near = Filters([rule.pattern.widest_filter for _, rule in self._rules])

    def of(self, topic: Topic, action: Action) -> tuple[Party, ...]:
        """The roles that may, by name; those that the topic names first."""
        found: dict[str, Party] = {}
        near = [self._rules[at] for at in self._near.meeting(topic.template.widest_filter)]
        for role, rule in sorted(near, key=lambda each: not (each[1].is_of_topic and each[1].origin is topic)):
            if action in rule.actions and role not in found and self._may(role, rule, topic, action):
                found[role] = self._party(role, rule, topic, action)
        return tuple(sorted(found.values(), key=lambda party: (bool(party.by), party.role)))

    def _may(self, role: str, rule: Granted, topic: Topic, action: Action) -> bool:
        for subject, samples in self._members(role):
            for ask in self._asks(rule, topic, action, subject, samples):
                if self._explainer.decide(subject, ask)[0].allow:
                    return True
        return False

    def _members(self, role: str) -> Sequence[tuple[Subject, Samples]]:
        """Who stands for the role; kept, since it is asked about each of its topics."""
        if role not in self._known:
            rules = self._explainer.places.by_role[role]
            made_up = exemplars(role, self._explainer.places)
            self._known[role] = [(subject, Samples(subject, rules)) for subject in made_up]
        return self._known[role]

    def _asks(self, rule: Granted, topic: Topic, action: Action, subject: Subject, samples: Samples) -> Iterator[Ask]:
        """Requests for what the rule and the topic share."""
        bounds = (topic.qos_max, topic.retain, topic.when)
        declared = Granted("", rule.role, Effect.PERMIT, (action,), topic.template, *bounds, topic)
        mine, other = filter_for(rule, subject), filter_for(declared, subject)
        shared = None if mine is None or other is None else meet(mine, other)
        if shared is None:
            return
        names = samples.topics(shared, topic.template)
        if action is Action.PUBLISH:
            yield from (ask for name in names if not name.startswith("$") for ask in samples.messages(name))
        else:
            yield Ask(Asked.SUBSCRIBE, shared)
            yield from (Ask(Asked.RECEIVE, name) for name in names)

    def _party(self, role: str, rule: Granted, topic: Topic, action: Action) -> Party:
        is_named = rule.is_of_topic and rule.origin is topic
        own = [
            (level.name, of_identity(source))
            for level in rule.pattern.levels
            if isinstance(level, Variable) and (source := rule.role.bound_to(level.name))
        ]
        but = [
            other.pattern.text
            for other in self._explainer.places.by_role[role]
            if other.effect is Effect.FORBID
            and action in other.actions
            and meet(other.pattern.widest_filter, topic.template.widest_filter)
        ]
        by = "" if is_named else rule.pattern.text
        return Party(role, tuple(own), by, tuple(sorted(set(but))), condition_words(rule.counts_when(action)))


def party_words(party: Party) -> str:
    """What of the topic this role may: its own values, the wildcard that lets it, what is forbidden. Code in backticks."""
    parts = [party.when] if party.when else []
    if party.own:
        parts.append("of its own " + " and ".join(f"`{{{name}}}` ({what})" for name, what in party.own))
    if party.by:
        parts.append(f"by `{party.by}`")
    if party.but:
        parts.append("but for " + ", ".join(f"`{text}`" for text in party.but))
    return ", ".join(parts)
