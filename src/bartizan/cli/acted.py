"""Acts on identities: by the broker that runs on the data directory, so that it holds at once; else in its store."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bartizan.broker.log import escaped
from bartizan.cli.control import RunningBroker, told_to
from bartizan.cli.listing import print_json
from bartizan.cli.opening import existing, register_of
from bartizan.cli.paths import path_of
from bartizan.errors import InvalidValue
from bartizan.identity.chosen import chosen as those_of
from bartizan.policy.lint_roles import NO_QUARANTINE, QUARANTINE_LINES
from bartizan.respond.actions import Actions, Done

SHOWN_MAX = 20
"""Identities, Sessions or connections that are named one by one."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom an action is about: those named, or everybody with a role, or whose name fits a pattern."""

    names: Sequence[str]
    role: str | None = None
    matching: str | None = None

    def __post_init__(self) -> None:
        if bool(self.names) + (self.role is not None) + (self.matching is not None) != 1:
            raise InvalidValue("name identities, or --all-of-role, or --matching: one of the three")


def chosen(data: Path, config: Path | None, whom: Whom, *, in_quarantine: bool = False) -> tuple[str, ...]:
    """Their names, of the store on this machine. `in_quarantine`: by a role or a pattern those alone who are in it."""
    if whom.names:
        return tuple(dict.fromkeys(whom.names))
    return asyncio.run(_found(data, config, whom, in_quarantine=in_quarantine))


async def _found(data: Path, config: Path | None, whom: Whom, *, in_quarantine: bool) -> tuple[str, ...]:
    at = datetime.now(UTC)
    async with register_of(data, config) as register:
        return await those_of(register, whom.role, whom.matching, at=at, in_quarantine=in_quarantine)


def preview(names: Sequence[str], what: str, count: int | None = None) -> int:
    """Says who would be hit, and changes nothing; the exit code. `count`: how many there are, where not all are named."""
    in_all = len(names) if count is None else count
    for name in names[:SHOWN_MAX]:
        print(escaped(name))
    if in_all > SHOWN_MAX:
        print(f"and {in_all - SHOWN_MAX} more")
    print(f"{in_all} would be {what}: repeat it with --yes")
    return 2


def connections(clients: Sequence[Mapping[str, Any]], count: int) -> Iterator[str]:
    """Who is cut, or would be: so many, of whom these are told."""
    for client in clients[:SHOWN_MAX]:
        yield f"  {escaped(client['client_id'])} of {escaped(client['identity'] or 'nobody')} from {client['address']}"
    if count > SHOWN_MAX:
        yield f"  and {count - SHOWN_MAX} more"


def act(
    data: Path,
    config: Path | None,
    names: Sequence[str],
    path: str,
    body: Mapping[str, object],
    alone: Callable[[Actions, str], Awaitable[Done]],
) -> list[dict[str, Any]]:
    """Acts on each, in order; what was done. `path` and `body` are for a broker that runs, `alone` is without one."""
    root = existing(Path.cwd() / data).root
    if RunningBroker.on(root) is not None:
        return [told_to(root, path_of("v1", "identities", name, path), body) for name in names]

    async def each() -> list[dict[str, Any]]:
        async with register_of(data, config) as register:
            actions = Actions(register, None)
            return [(await alone(actions, name)).as_dict() for name in names]

    return asyncio.run(each())


def tell(done: Sequence[Mapping[str, Any]], what: str, *, as_json: bool) -> int:
    """Prints what was done, item by item; the exit code."""
    if as_json:
        print_json(done)
        return 0
    for one in done:
        print(
            f"{escaped(one['identity'])}: {what}{'' if one['is_in_force'] else '; no broker runs: from its next start'}"
        )
        for line in _lines(one):
            print(f"  {line}")
    # A broker elsewhere may be an older one.
    if any(one.get("lacks_role") for one in done):
        print(f"warning: {NO_QUARANTINE}. Add to the policy:\n\n{QUARANTINE_LINES}", file=sys.stderr)
    return 0


def _lines(one: Mapping[str, Any]) -> list[str]:
    sessions, retained = one["ended"]["sessions"], one["ended"]["retained"]
    lines = [f"session {escaped(each['client_id'])}: {session_words(each)}" for each in sessions[:SHOWN_MAX]]
    if len(sessions) > SHOWN_MAX:
        lines.append(f"and {len(sessions) - SHOWN_MAX} sessions more")
    if retained:
        lines.append(f"{retained} Retained Messages removed")
    if one["credentials_ended"]:
        lines.append(f"{len(one['credentials_ended'])} credentials ended")
    return lines + [f"certificate {serial} blocked" for serial in one["serials_blocked"]]


def session_words(session: Mapping[str, Any]) -> str:
    """What was in a Session that ended."""
    parts = ["disconnected" if session["was_connected"] else "ended while away"]
    counted = (("subscriptions", "Subscriptions"), ("queued", "queued messages"), ("inflight", "messages in flight"))
    parts += [f"{session[key]} {words} dropped" for key, words in counted if session[key]]
    return ", ".join([*parts, *(["Will suppressed"] if session["had_will"] else [])])
