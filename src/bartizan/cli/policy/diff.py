"""`bartizan policy diff`: what two policies decide differently, and for whom."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bartizan.cli.clients import running_clients
from bartizan.cli.opening import existing
from bartizan.cli.policy.reading import Flag, Json, good, stored
from bartizan.errors import InvalidValue
from bartizan.model.principal import Identity
from bartizan.policy.compiled import Circumstances
from bartizan.policy.diff import Change, Changed, Comparison
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
    """Compare two policies by what they decide: what each role gains and loses, with an example topic.

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
    comparison = Comparison(Explainer(good(old)), Explainer(good(new)))
    roles = list(comparison.roles())
    identities: list[Identity] = [] if data is None else stored(data)
    changed = list(comparison.identities(identities))
    sessions = list(comparison.subjects(_sessions(data, identities))) if live and data is not None else []
    if json_output:
        told = {"roles": roles, "identities": changed, "sessions": sessions}
        print(json.dumps({name: [_plain(each) for each in found] for name, found in told.items()}))
    else:
        _show(roles, changed, sessions)
    return 1 if roles or changed or sessions else 0


def _sessions(data: Path, identities: Sequence[Identity]) -> Iterator[Subject]:
    """Who is connected; roles are the session's own, attributes those of its identity."""
    known: Mapping[str, Identity] = {identity.name: identity for identity in identities}
    client: Mapping[str, Any]
    for client in running_clients(existing(Path.cwd() / data).root):
        identity = known.get(client["identity"])
        attributes = {str(name): value for name, value in identity.attributes} if identity else {}
        there = Circumstances(client["listener"], client["address"] or None, client["method"])
        yield Subject(client["identity"], client["client_id"], tuple(client["roles"]), attributes, there)


def _show(roles: Sequence[Changed], identities: Sequence[Changed], sessions: Sequence[Changed]) -> None:
    for each in roles:
        print(f"role {each.subject.roles[0]}")
        _show_changes(each)
    for what, found in (("identity", identities), ("session", sessions)):
        for each in found[:SHOWN_MAX]:
            print(f"{what} {each.subject.identity if what == 'identity' else each.subject.client_id}")
            _show_changes(each)
        if len(found) > SHOWN_MAX:
            print(f"{len(found) - SHOWN_MAX} more (--json tells all)")
    if not roles and not identities and not sessions:
        print("the two policies decide alike")


def _show_changes(each: Changed) -> None:
    for change in each.changes:
        print(f"  {change.sign} {change.example.action} {change.pattern}  {change.at}")
        is_special = change.by.there is not None and change.by.there != each.subject.there
        there = f", {connection_words(change.by.there)}" if change.by.there and is_special else ""
        hours = f", in {', '.join(change.by.windows)}" if change.by.windows else ""
        print(f"      for example {str(change.example).partition(' ')[2]}{there}{hours}")
    for name, before, after in each.limits:
        print(f"  ~ {name}: {'unset' if before is None else before} -> {'unset' if after is None else after}")
    for term in each.terms:
        print(f"  ~ {term.of}: {term.before} -> {term.after}")


def _plain(each: Changed) -> dict[str, object]:
    return {
        "identity": each.subject.identity,
        "client_id": each.subject.client_id,
        "roles": list(each.subject.roles),
        "gains": [_change(change) for change in each.changes if change.gained],
        "loses": [_change(change) for change in each.changes if not change.gained],
        "limits": [{"name": name, "before": before, "after": after} for name, before, after in each.limits],
        "terms": [{"of": term.of, "before": term.before, "after": term.after} for term in each.terms],
    }


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
