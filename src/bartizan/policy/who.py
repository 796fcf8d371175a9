"""Who may publish or subscribe to a topic: the question from the topic's side."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bartizan.model.principal import Identity
from bartizan.policy.compiled import Decision
from bartizan.policy.explain import Explainer
from bartizan.policy.naming import DEFAULT, Named, admits
from bartizan.policy.places import Granted
from bartizan.policy.samples import suited
from bartizan.policy.subject import Ask, Subject


@dataclass(frozen=True, slots=True)
class Access:
    """One that may, by which rule."""

    subject: Subject
    decision: Decision
    rule: Granted | None


def identities_that_may(
    explainer: Explainer, identities: Iterable[Identity], ask: Ask, windows: tuple[str, ...] | None = None
) -> Iterator[Access]:
    """The identities that may, each under the Client Identifier by which it may.

    Beside its name, every level of the topic is tried that it may use as Client Identifier; if its roles let it
    use none of them, it has one that is no level of the topic. `windows`: those that are open; None: all.
    """
    levels = [level for level in ask.topic.split("/") if level]
    for identity in identities:
        namings = _namings(explainer, identity) or DEFAULT
        who = Named(identity.name, {str(name): value for name, value in identity.attributes})
        own = [level for level in (str(identity.name), *levels) if admits(namings, level, who)]
        for client_id in dict.fromkeys(own or [""]):
            subject = replace(Subject.of(identity), client_id=client_id, windows=windows)
            decision, rule = explainer.decide(subject, ask)
            if decision.allow:
                yield Access(subject, decision, rule)
                break


def _namings(explainer: Explainer, identity: Identity) -> list[str]:
    """Which Client Identifiers the roles of an identity let it use."""
    return [text for name in identity.roles for role in explainer.places.included(name) for text in role.client_ids]


def roles_that_may(explainer: Explainer, ask: Ask) -> Iterator[Access]:
    """The roles of which somebody may: values that a role binds are taken from the topic where they fit."""
    for role in explainer.places.policy.roles:
        for subject in _fitting(explainer, role.name, ask):
            decision, rule = explainer.decide(subject, ask)
            if decision.allow:
                yield Access(subject, decision, rule)
                break


def _fitting(explainer: Explainer, role: str, ask: Ask) -> Iterator[Subject]:
    """Made-up members of the role whose own values are the topic's, by each of its permits in turn."""
    levels = ask.topic.split("/")
    for rule in explainer.places.by_role[role]:
        sources = dict(rule.role.binds)
        bound = {
            sources[name]: level
            for pattern_level, level in zip(rule.pattern.levels, levels, strict=False)
            if (name := getattr(pattern_level, "name", "")) in sources
        }
        attributes = {source[5:]: value for source, value in bound.items() if source.startswith("attr.")}
        name = bound.get("identity", bound.get("client_id", f"{role}-1"))
        subject = Subject(name, bound.get("client_id", name), (role,), attributes)
        yield from suited(subject, [rule]) or [subject]
