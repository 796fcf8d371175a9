"""Who gains and who loses by another policy, all together: for people, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bartizan.model.principal import Identity
from bartizan.policy.compiled import Circumstances
from bartizan.policy.condition import Strength
from bartizan.policy.diff import Change, Changed, Comparison, Term
from bartizan.policy.diff_messages import message_terms
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Subject, connection_words

SHOWN_MAX = 50
"""Identities or sessions told one by one; JSON has no such bound."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Who gains and who loses."""

    roles: Sequence[Changed]
    identities: Sequence[Changed]
    sessions: Sequence[Changed]
    tenants: Sequence[Term] = ()
    """Tenants that are new, gone, elsewhere or have other limits."""
    not_looked_at: Sequence[str] = ()
    """What was too much to look at."""
    messages: Sequence[Term] = ()
    """What topics ask of messages, before and after."""

    def __bool__(self) -> bool:
        found = (self.roles, self.identities, self.sessions, self.tenants, self.not_looked_at, self.messages)
        return any(found)

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        told = {"roles": self.roles, "identities": self.identities, "sessions": self.sessions}
        plain: dict[str, object] = {name: [_plain(each) for each in found] for name, found in told.items()}
        tenants = [_term(term) for term in self.tenants]
        messages = [_term(term) for term in self.messages]
        return plain | {"tenants": tenants, "not_looked_at": list(self.not_looked_at), "messages": messages}

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from (f"tenant {term.of}: {term.before} -> {term.after}" for term in self.tenants)
        for each in self.roles:
            yield f"role {each.subject.roles[0]}"
            yield from _lines(each)
        for what, found in (("identity", self.identities), ("session", self.sessions)):
            for each in found[:SHOWN_MAX]:
                yield f"{what} {each.subject.identity if what == 'identity' else each.subject.client_id}"
                yield from _lines(each)
            if len(found) > SHOWN_MAX:
                yield f"{len(found) - SHOWN_MAX} more (--json tells all)"
        yield from ["messages"] if self.messages else []
        yield from (f"  ~ {term.of}: {term.before} -> {term.after}" for term in self.messages)
        yield from (f"not looked at: {what}" for what in self.not_looked_at)


def compared(
    old: Explainer, new: Explainer, identities: Iterable[Identity] = (), sessions: Iterable[Subject] = ()
) -> Differences:
    """What the two decide differently: for roles, and for these identities and live sessions."""
    comparison = Comparison(old, new)
    live = comparison.subjects(sessions)
    found = [list(each) for each in (comparison.roles(), comparison.identities(identities), live)]
    tenants = tuple(comparison.tenants())
    messages = message_terms(old.places.policy, new.places.policy)
    not_looked_at = tuple(comparison.not_looked_at)
    return Differences(*found, tenants=tenants, not_looked_at=not_looked_at, messages=messages)


def subject_of(client: Mapping[str, Any]) -> Subject:
    """A client that is connected, as the engine tells it: by whom and how, as is decided about it now."""
    strengths = tuple(strength for strength in Strength if client["strength"][strength.value])
    there = Circumstances(client["listener"], client["address"] or None, client["method"], strengths)
    return Subject(client["identity"], client["client_id"], tuple(client["roles"]), dict(client["attributes"]), there)


def _lines(each: Changed) -> Iterator[str]:
    for change in each.changes:
        yield f"  {change.sign} {change.example.action} {change.pattern}  {change.at}"
        is_special = change.by.there is not None and change.by.there != each.subject.there
        there = f", {connection_words(change.by.there)}" if change.by.there and is_special else ""
        hours = f", in {', '.join(change.by.windows)}" if change.by.windows else ""
        hours = hours or (", outside of all time windows" if change.by.windows == () else "")
        yield f"      for example {str(change.example).partition(' ')[2]}{there}{hours}"
    for name, before, after in each.limits:
        yield f"  ~ {name}: {'unset' if before is None else before} -> {'unset' if after is None else after}"
    for term in each.terms:
        yield f"  ~ {term.of}: {term.before} -> {term.after}"


def _plain(each: Changed) -> dict[str, object]:
    return {
        "identity": each.subject.identity,
        "client_id": each.subject.client_id,
        "roles": list(each.subject.roles),
        "gains": [_change(change) for change in each.changes if change.gained],
        "loses": [_change(change) for change in each.changes if not change.gained],
        "limits": [{"name": name, "before": before, "after": after} for name, before, after in each.limits],
        "terms": [_term(term) for term in each.terms],
    }


def _term(term: Term) -> dict[str, object]:
    return {"of": term.of, "before": term.before, "after": term.after}


def _change(change: Change) -> dict[str, object]:
    return {
        "action": change.example.action.value,
        "filter": change.pattern,
        "example": change.example.topic,
        "qos": change.example.qos,
        "retain": change.example.retain,
        "payload_bytes": change.example.payload_bytes,
        "windows": list(change.by.windows or ()),
        "file": change.at.file,
        "line": change.at.line,
    }
