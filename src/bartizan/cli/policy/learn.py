"""`bartizan policy learn` and `learned`: the smallest contract for what clients of a listener do, for review."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.log import escaped
from bartizan.broker.watching import Lesson as Session
from bartizan.cli.control import told_to
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Flag, Json
from bartizan.cli.observed import ANONYMOUS, beside, observations_of
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.policy.reading import counted, stored
from bartizan.errors import InvalidValue, NotFound
from bartizan.model.observation import Observation, Watched
from bartizan.model.principal import Identity
from bartizan.policy.contract import Action
from bartizan.policy.learn import Client, Lesson, Seen, learn

_ACTIONS = {"publish": Action.PUBLISH, "will": Action.PUBLISH, "subscribe": Action.SUBSCRIBE}


def begin(
    *,
    for_: Annotated[str, Parameter(name="--for", help="How long: 24h, 7d.")] = "24h",
    listener: Annotated[tuple[str, ...], Parameter(negative=(), help="A listener; may be given several times.")] = (),
    out: Annotated[Path | None, Parameter(help="The file that `learned` is to write the contract to.")] = None,
    stop: Annotated[Flag, Parameter(help="End it now.")] = False,
    data: Data = DEFAULT_DATA,
) -> int:
    """Note what clients of a listener do that the policy in force allows: topics, QoS, RETAIN. Nothing else changes.

    `bartizan policy learned` makes the smallest contract of it, at any time. What was learned before is forgotten.

    For example:

        bartizan policy learn --for 24h --listener mqtts --out learned.toml
    """
    root = existing(Path.cwd() / data).root
    if stop:
        told = told_to(root, "/v1/policy/learn/stop")
        print("nothing is learned any more" if told["was_learning"] else "nothing was being learned")
        return 0
    if not listener:
        raise InvalidValue("name the listeners to learn from: --listener NAME")
    until = datetime.now(UTC) + parse_duration(for_)
    where = "" if out is None else str(out.absolute())
    told_to(root, "/v1/policy/learn", {"listeners": list(listener), "until": until.isoformat(), "out": where})
    print(f"learning from {', '.join(listener)} until {until:%Y-%m-%d %H:%M} UTC: `bartizan policy learned` tells what")
    return 0


def learned(
    *,
    out: Annotated[Path | None, Parameter(help="The file to write. Default: that of `policy learn`.")] = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Write the contract of what was learned so far, and list all that it allows to everybody seen, for review.

    What is marked with `*` was not seen: another one of the same role did it. Nothing is put in force.

    For example:

        bartizan policy learned --out learned.toml
    """
    store = observations_of(data)
    session = Session.kept(store.fact("lesson"))
    found = store.observations(Watched.LEARNED)
    if session is None or not found:
        raise NotFound("nothing was learned yet: `bartizan policy learn --listener NAME` begins")
    lost = store.lost(Watched.LEARNED)
    lesson = learn(_seen(found, stored(data, config)), tuple(_heading(session, lost)))
    file = out or (Path(session.out) if session.out else None)
    if file is not None:
        file.write_text(lesson.text, encoding="utf-8")
    if json_output:
        print(json.dumps(_plain(lesson, lost)))
    else:
        print("\n".join(_lines(lesson, lost)))
        name = beside(str(file))
        print(f"\n{name}: review it, then `bartizan policy stage {name}`" if file else f"\n{lesson.text}")
    return 0


def _heading(session: Session, lost: int) -> Iterator[str]:
    state = "" if session.is_over else ", which goes on"
    yield f"Learned from {', '.join(session.listeners)} since {session.since[:16]} UTC{state}. For review: nothing of it"
    yield "is in force. `bartizan policy learned` lists all that it allows to everybody seen."
    if lost:
        yield f"It is not whole: {lost} requests found no room."


def _seen(found: list[Observation], identities: list[Identity]) -> Iterator[Seen]:
    known: Mapping[str, Identity] = {str(identity.name): identity for identity in identities}
    for each in found:
        if each.action in _ACTIONS:
            client = _client(each, known.get(each.identity))
            yield Seen(client, _ACTIONS[each.action], each.topic, each.qos, each.retain, each.bytes)


def _client(each: Observation, identity: Identity | None) -> Client:
    if each.identity == ANONYMOUS:
        return Client(each.client_id)
    if identity is None:
        return Client(each.client_id, each.identity)
    attributes = tuple((str(name), value) for name, value in identity.attributes)
    return Client(each.client_id, each.identity, attributes, tuple(map(str, identity.roles)))


def _lines(lesson: Lesson, lost: int) -> Iterator[str]:
    for role, clients in lesson.roles.items():
        names = dict.fromkeys(client.name for client in clients)
        yield f"role {role}: {', '.join(escaped(name) for name in names)}"
        for client in clients:
            own = [each for each in lesson.allowances if each.client == client]
            if client.identity and client.identity != client.client_id:
                yield f"  as {escaped(client.client_id)}"
            for each in own:
                bounds = f"  QoS {each.qos_max}{', RETAIN' if each.retain else ''}" if each.action == "publish" else ""
                yield f"  {' ' if each.was_seen else '*'} {each.action} {escaped(each.topic)}{bounds}"
        yield from _to_assign(role, clients)
    unseen = sum(not each.was_seen for each in lesson.allowances)
    if unseen:
        yield f"{counted(unseen, 'allowance was', 'allowances were')} not seen, and come of roles (*)"
    for each in lesson.unspelt:
        yield f"no policy can spell: {escaped(each.client.name)} {each.action} {escaped(each.topic)}"
    if lost:
        yield f"{lost} requests found no room: what they were about is missing"


def _to_assign(role: str, clients: Sequence[Client]) -> Iterator[str]:
    """What gives the role to who has it not."""
    for client in {client.name: client for client in clients}.values():
        if not client.identity:
            yield f"    bartizan enrol {quote(escaped(client.client_id))} --role {role}"
        elif role not in client.roles:
            yield f"    bartizan identity set {quote(escaped(client.identity))} --add-role {role}"


def _plain(lesson: Lesson, lost: int) -> dict[str, object]:
    return {
        "policy": lesson.text,
        "roles": {
            role: list(dict.fromkeys(client.name for client in clients)) for role, clients in lesson.roles.items()
        },
        "allowances": [
            {
                "identity": each.client.identity,
                "client_id": each.client.client_id,
                "role": each.role,
                "action": each.action,
                "topic": each.topic,
                "qos_max": each.qos_max,
                "retain": each.retain,
                "was_seen": each.was_seen,
            }
            for each in lesson.allowances
        ],
        "unspelt": [asdict(each) for each in lesson.unspelt],
        "not_kept": lost,
    }
