"""`bartizan policy diff`: what two policies decide differently, and for whom."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.cli.clients import running_clients
from bartizan.cli.opening import existing
from bartizan.cli.policy.files import Flag, Json, good
from bartizan.cli.policy.reading import stored
from bartizan.errors import InvalidValue
from bartizan.policy.compiled import Circumstances
from bartizan.policy.condition import Strength
from bartizan.policy.diff import Change, Changed, Comparison, Term
from bartizan.policy.diff_messages import message_terms
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Subject, connection_words

SHOWN_MAX = 50
"""Identities or sessions told one by one; `--json` has no such bound."""


def diff(
    old: Path,
    new: Path,
    /,
    *,
    data: Path | None = None,
    live: Flag = False,
    json_output: Json = False,
) -> int:
    """Compare two policies by what they decide: what each role gains and loses, and what topics ask of messages.

    Exit code 1 if they differ.

    For example:

        bartizan policy diff policy.toml new.toml

        bartizan policy diff bartizan-data/policy.toml new/ --data bartizan-data --live

    Parameters
    ----------
    old
        The one policy: a file, a directory or a pattern.
    new
        The other one.
    data
        A data directory: each of its identities that gains or loses is told as well.
    live
        Also each live session of the broker that runs there. Needs --data.
    json_output
        Print one JSON object.
    """
    if live and data is None:
        raise InvalidValue("--live needs --data: the data directory of the broker that runs")
    found = differences(Explainer(good(old)), Explainer(good(new)), data, live=live)
    if json_output:
        print(json.dumps(found.as_dict()))
    elif found:
        print("\n".join(found.lines()))
    else:
        print("the two policies decide alike")
    return 1 if found else 0


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
        """For `--json`."""
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


def differences(
    old: Explainer, new: Explainer, data: Path | None, *, live: bool, config: Path | None = None
) -> Differences:
    """What the two decide differently: for roles, and for the identities and sessions of a data directory."""
    comparison = Comparison(old, new)
    known = stored(data, config) if data is not None else ()
    sessions = comparison.subjects(_sessions(data)) if live and data is not None else ()
    found = [list(each) for each in (comparison.roles(), comparison.identities(known), sessions)]
    tenants = tuple(comparison.tenants())
    messages = message_terms(old.places.policy, new.places.policy)
    not_looked_at = tuple(comparison.not_looked_at)
    return Differences(*found, tenants=tenants, not_looked_at=not_looked_at, messages=messages)


def _sessions(data: Path) -> Iterator[Subject]:
    """Who is connected, by whom and how, as the broker decides about it now."""
    client: Mapping[str, Any]
    for client in running_clients(existing(Path.cwd() / data).root):
        strengths = tuple(strength for strength in Strength if client["strength"][strength.value])
        there = Circumstances(client["listener"], client["address"] or None, client["method"], strengths)
        attributes = dict(client["attributes"])
        yield Subject(client["identity"], client["client_id"], tuple(client["roles"]), attributes, there)


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
