"""A request of dynamic security -> its answers, and what has to be done."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from bartizan.policy.contract import CONTROL_TOPIC
from bartizan.policy.dynsec import clients, defaults, groups, roles
from bartizan.policy.dynsec.fields import Fields, NotJsonError, Refused, read_json
from bartizan.policy.dynsec.state import State
from bartizan.policy.dynsec.step import Addresses, Command, Step

TOPIC: Final = CONTROL_TOPIC
RESPONSE_TOPIC: Final = f"{TOPIC}/response"

COMMANDS: Mapping[str, Command] = {
    **clients.COMMANDS,
    **groups.COMMANDS,
    **roles.COMMANDS,
    **defaults.COMMANDS,
}
"""Every command by its name."""

COMMANDS_MAX: Final = 1_000
"""Commands of one request; each of them may change the policy."""

UNKNOWN: Final = "Unknown command"
_BY_NAME = {name.lower(): name for name in COMMANDS}
_NO_PASSWORDS: Mapping[str, str] = MappingProxyType({})

Exact = Callable[[State, State], str | None]
"""Why what a command makes of one state would not decide here as it does there; None if it does."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one command."""

    command: str
    error: str | None = None
    data: Mapping[str, object] | None = None
    correlation: str | None = None
    is_change: bool = False
    """True if it says that something was changed."""

    def as_dict(self) -> dict[str, object]:
        """As it is sent."""
        answer: dict[str, object] = {"command": self.command}
        if self.error is not None:
            answer["error"] = self.error
        if self.data is not None:
            answer["data"] = self.data
        if self.correlation is not None:
            answer["correlationData"] = self.correlation
        return answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, all of its commands together."""

    state: State
    responses: tuple[Response, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=lambda: _NO_PASSWORDS, repr=False)
    """Whose password becomes which."""

    hashes: Mapping[str, str] = field(default_factory=lambda: _NO_PASSWORDS, repr=False)
    """What another broker keeps of the passwords of clients that come from it."""

    removed: frozenset[str] = frozenset()
    """Clients that were removed, also if there is a new one of the same name."""

    @property
    def is_change(self) -> bool:
        """True if there is anything to be done."""
        return any(response.is_change for response in self.responses)

    def payload(self) -> bytes:
        """The answer as it is sent."""
        return json.dumps({"responses": [response.as_dict() for response in self.responses]}).encode()

    def failed(self, why: str) -> "Wanted":
        """The same request where nothing could be changed."""
        responses = tuple(replace(each, error=why) if each.is_change else each for each in self.responses)
        return replace(self, responses=responses)


def carried_out(now: State, payload: bytes, addresses: Addresses, exact: Exact) -> Wanted:
    """The answers to this request, and the state behind it. Each command is answered, whatever became of others."""
    try:
        root = read_json(payload)
    except NotJsonError:
        return Wanted(now, (Response(UNKNOWN, "Payload not valid JSON"),))
    entries = root.entries("commands") if isinstance(root, Fields) else None
    if entries is None:
        return Wanted(now, (Response(UNKNOWN, "Invalid/missing commands"),))
    if len(entries) > COMMANDS_MAX:
        return Wanted(now, (Response(UNKNOWN, f"More than {COMMANDS_MAX} commands"),))
    return _all_of(Wanted(now), entries, addresses, exact)


def _all_of(wanted: Wanted, entries: Sequence[object], addresses: Addresses, exact: Exact) -> Wanted:
    for entry in entries:
        before = wanted.state
        response, step = _answer(before, entry, addresses, exact)
        wanted = replace(wanted, responses=(*wanted.responses, response))
        if step is not None and response.is_change:
            wanted = _with(wanted, replace(step, state=replace(step.state, changes=before.changes + 1)))
    return wanted


def _with(wanted: Wanted, step: Step) -> Wanted:
    passwords, removed = dict(wanted.passwords), wanted.removed
    if step.removed:
        passwords.pop(step.removed, None)
        removed |= {step.removed}
    if step.password is not None:
        name, password = step.password
        passwords[name] = password
    return replace(wanted, state=step.state, passwords=passwords, removed=removed)


def _answer(now: State, entry: object, addresses: Addresses, exact: Exact) -> tuple[Response, Step | None]:
    if not isinstance(entry, Fields):
        return Response(UNKNOWN, "Command not an object"), None
    named, correlation = entry.given("command"), entry.given("correlationdata")
    if named is None:
        return Response(UNKNOWN, "Missing command"), None
    if correlation is None and "correlationdata" in entry.values:
        return Response(named, "Invalid correlationData data type."), None
    name = _BY_NAME.get(named.lower())
    try:
        step = _step(now, name, entry, addresses, exact)
    except Refused as error:
        return Response(named, str(error), correlation=correlation), None
    if step.data is not None:
        return Response(name or named, data=step.data, correlation=correlation), None
    return Response(named, correlation=correlation, is_change=True), step


def _step(now: State, name: str | None, fields: Fields, addresses: Addresses, exact: Exact) -> Step:
    if name is None:
        raise Refused(UNKNOWN)
    step = COMMANDS[name](now, fields, addresses)
    if step.data is None and (why := exact(now, step.state)) is not None:
        raise Refused(why)
    return step
