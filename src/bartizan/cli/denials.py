"""`bartizan denials`: what the policy refused, by its rules or its contract, and the smallest grant for it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.clients import running_clients
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Flag, Json, Text, second, show_table
from bartizan.cli.observed import ANONYMOUS, beside, hand_out, observations_of, patch_text, record, since
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.policy.files import Named
from bartizan.cli.policy.reading import in_force, one_stored
from bartizan.cli.remote import Server, remote
from bartizan.errors import EngineUnavailable, NotFound
from bartizan.model.observation import Observation, Watched
from bartizan.policy.compiled import Asked, Decision
from bartizan.policy.differences import subject_of as connected
from bartizan.policy.explain import Explainer
from bartizan.policy.grant import Grant
from bartizan.policy.subject import Ask, Subject

app = App(name="denials", help="Show what the policy refused, and propose the smallest grant for it.")

FOLLOW_S = 1.0
OVERLAP = timedelta(minutes=1)
SHOWN_MAX = 200

Look = Callable[[datetime | None], Sequence[Observation]]

_COLUMNS = {
    "number": "no.",
    "last": "last",
    "count": "times",
    "identity": "identity",
    "action": "action",
    "topic": "topic",
    "why": "why",
}
_HINTS = {
    "no_permit": "`bartizan denials approve {number}` proposes the smallest grant",
    "qos_above_max": "a permit allows it up to a lower QoS; `bartizan denials approve {number}` proposes the grant",
    "retain_not_allowed": "a permit allows it without RETAIN; `bartizan denials approve {number}` proposes the grant",
    "forbidden": "a forbid beats every permit: only narrowing that rule allows it",
    "condition_not_met": "a permit is there, but its `when` does not hold for this connection",
    "not_in_token": "its roles permit it and its token does not: whoever issues the token has to put that grant into it",
    "tenant_not_declared": "its tenant may not even connect: declare [tenants.NAME], or correct its attribute tenant",
    "server_topic": "topics that begin with $ are the server's own: the client must publish elsewhere",
    "topic_undeclared": "no grant helps, a rule permits it: declare the topic in the policy ([topics]), or correct the client; "
    "{rule} says what becomes of topics that nobody declares",
    "payload_misfit": "no grant helps, a rule permits it: correct what the client sends, or {rule}; "
    "`bartizan policy explain --payload` tells which part does not fit",
    "rate_exceeded": "no grant helps, a rule permits it: have the client publish more slowly, or raise {rule}",
}

_NEVER_BY_A_PERMIT = frozenset({"condition_not_met", "not_in_token"})
"""What hangs on the connection or the token of that time: who asks again by the policy alone learns nothing of it."""

_BY_THE_CONTRACT = frozenset({"topic_undeclared", "payload_misfit", "rate_exceeded"})
"""Of messages that rules permit: they are not as their topic is declared."""


@app.default
def denials(
    *,
    follow: Annotated[Flag, Parameter(help="Go on, with one line for each that is new, until Ctrl-C.")] = False,
    since_: Annotated[str | None, Parameter(name="--since", help="Not longer ago than this: 15m, 24h, 7d.")] = None,
    identity: Annotated[Text, Parameter(help="Of this identity alone.")] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List what the policy refused: by identity, action, topic and rule, with how often and what to do about it.

    For example:

        bartizan denials --since 24h

        bartizan denials --follow --identity press-01
    """
    span = None if since_ is None else parse_duration(since_)
    with looking(data, server, identity or "") as look:
        if follow:
            _follow(look, span, as_json=json_output)
            return 0
        found = look(since(span))
    if json_output:
        print(json.dumps([record(each) | {"hint": hint(each)} for each in found]))
        return 0
    shown = found[-SHOWN_MAX:]
    more = f", the last {SHOWN_MAX} shown (--json shows all)" if len(found) > SHOWN_MAX else ""
    show_table([_row(each) for each in shown], _COLUMNS, f"{len(found)} denied{more}")
    for why in dict.fromkeys(each.why for each in shown):
        last = next(each for each in reversed(shown) if each.why == why)
        print(f"{why}: {hint(last)}")
    return 0


@app.command
def approve(
    number: int,
    /,
    *,
    patch: Annotated[Path | None, Parameter(help="A file to write it to. Default: it is printed.")] = None,
    policy: Named = (),
    data: Data = DEFAULT_DATA,
    config: Config = None,
) -> int:
    """Write the smallest grant that allows what was denied, as a patch of the policy's files. Nothing is in force by it.

    Exit code 1 if no permit can allow it: then it says what to change instead.

    For example:

        bartizan denials approve 7 --patch grant.patch

    Parameters
    ----------
    number
        Its number in `bartizan denials`.
    policy
        A policy file, directory or pattern; several times. Default: that of the data directory.
    """
    denied = observations_of(data).observation(number)
    if denied is None or denied.watched is not Watched.DENIED:
        raise NotFound(f"no denial has the number {number}: `bartizan denials` lists them")
    if denied.why in _NEVER_BY_A_PERMIT:
        print(f"no patch: {hint(denied)} ({denied.rule})")
        return 1
    explainer = in_force(policy, data, config)
    if denied.why in _BY_THE_CONTRACT:
        return _tell_declared(explainer, denied)
    subject = subject_of(denied, data, config)
    told = explainer.explain(subject, ask_of(denied))
    if told.decision.allow:
        print(
            f"no patch: {escaped(str(told.ask))} is allowed to {escaped(denied.identity)} by now, {told.decision.rule}"
        )
        return 0
    if told.grant is None:
        print(f"no patch: {told.advice}")
        return 1
    hand_out(patch_of(explainer, told.grant), patch)
    return 0


def _tell_declared(explainer: Explainer, denied: Observation) -> int:
    """What a message is held to, where no grant helps; 0 if its topic was not declared and is by now."""
    held, place = explainer.declared(denied.topic)
    if denied.why == "topic_undeclared" and held.broken is None:
        print(f"no patch: {escaped(denied.topic)} is refused no more for not being declared")
        return 0
    print(f"no patch: {hint(denied)}")
    if place is not None:
        print("\n".join(f"  {place.file}:{line}: {text}" for line, text in place.lines))
    return 1


def patch_of(explainer: Explainer, grant: Grant) -> str:
    """The patch that adds a grant to the file that describes its role, else to the last one."""
    texts = explainer.places.texts
    declared = {role.name: role.at.origin for role in explainer.places.policy.roles if role.is_declared}
    name = declared.get(grant.role) or list(texts)[-1]
    before = texts[name]
    return patch_text(beside(name), before, grant.added_to(before))


def ask_of(seen: Observation) -> Ask:
    """What was asked for."""
    if seen.action in {"publish", "will"}:
        return Ask(Asked.PUBLISH, seen.topic, seen.qos, seen.retain, seen.bytes)
    return Ask(Asked(seen.action), seen.topic)


def subject_of(seen: Observation, data: Path, config: Path | None) -> Subject:
    """Who asked: an identity of the store, or a client that is connected."""
    if seen.identity == ANONYMOUS:
        return Subject(ANONYMOUS, seen.client_id, (ANONYMOUS,))
    with suppress(NotFound):
        return Subject.of(one_stored(data, seen.identity, config), seen.client_id)
    with suppress(EngineUnavailable):
        own = [each for each in running_clients(existing(Path.cwd() / data).root) if each["identity"] == seen.identity]
        if own:
            # Clients of one identity may have come by other tokens: the very one that was denied knows best.
            client = min(own, key=lambda each: each["client_id"] != seen.client_id)
            return replace(connected(client), client_id=seen.client_id)
    raise NotFound(f"{seen.identity} is no identity of the store (any more) and not connected: its roles are not known")


def hint(seen: Observation) -> str:
    """What can be done about it."""
    return _HINTS.get(seen.why, "").format(number=seen.number, rule=seen.rule)


def _row(seen: Observation) -> dict[str, object]:
    return {
        "number": seen.number,
        "last": second(seen.last_at),
        "count": seen.count,
        "identity": seen.identity,
        "action": seen.action,
        "topic": seen.topic,
        "why": f"{seen.why} ({seen.rule})" if seen.rule else seen.why,
    }


@contextmanager
def looking(data: Path, server: str | None, identity: str) -> Iterator[Look]:
    """What tells the denials since a time, the last at the end: of a data directory, or of a broker elsewhere."""
    if server is None:
        yield lambda from_: observations_of(data).observations(Watched.DENIED, since=from_, identity=identity)
        return
    with remote(server) as there:
        yield lambda from_: [
            _seen(row)
            for row in there.every(
                "/denials", identity=identity, since=None if from_ is None else from_.isoformat(), sort="last_at"
            )
        ]


def _seen(row: Mapping[str, Any]) -> Observation:
    """One as a broker elsewhere tells it."""
    told: dict[str, Any] = {name: datetime.fromisoformat(row[name]) for name in ("first_at", "last_at")}
    return Observation(**{**row, **told}, watched=Watched.DENIED, staged_rule="", staged_why="")


def _follow(look: Look, span: timedelta | None, *, as_json: bool) -> None:
    for seen in new_ones(look, span):
        if as_json:
            print(json.dumps(record(seen) | {"hint": hint(seen)}), flush=True)
        else:
            decision = Decision(allow=False, per_delivery=False, rule=seen.rule or None, why=seen.why)
            who = f"{escaped(seen.identity)} ({escaped(seen.client_id)})"
            print(
                f"{second(seen.last_at)} no. {seen.number} {who} {seen.action} {escaped(seen.topic)}: "
                f"{escaped(str(decision))}; {hint(seen)}",
                flush=True,
            )


def new_ones(look: Look, span: timedelta | None) -> Iterator[Observation]:
    """Those of the span, then those that are new or come again, as they come."""
    from_ = since(span) or datetime.now(UTC)
    known: dict[int, int] = {}
    while True:
        found = look(from_)
        for seen in found:
            if known.get(seen.number) != seen.count:
                known[seen.number] = seen.count
                yield seen
        if found:
            # What one shard has noted may be written after what another one noted later.
            from_ = max(from_, found[-1].last_at - OVERLAP)
        time.sleep(FOLLOW_S)
