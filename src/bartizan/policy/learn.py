"""The smallest contract for what clients were seen to do, for review.

A level that is the client's own Client Identifier, identity or attribute becomes a variable; clients that then do
the same have one role. That widens: who did less than others of its role may do what they did, under its own
name. So each contract comes with the list of all that it allows to everybody seen, and of what of it was not seen.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bartizan.errors import InvalidValue
from bartizan.model.ids import RoleName
from bartizan.policy.check import CheckResult, check
from bartizan.policy.contract import Action, Level, Literal, Pattern, PatternError, Variable, Wildcard
from bartizan.policy.format import formatted

_NO_LEVEL = frozenset("/+#\0")
_RESERVED = frozenset({"client_id", "identity"})
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
EVERYBODY = "anonymous"
"""The role of whoever a listener admits without a credential: nothing is granted to that by its name."""

_NAMED_MAX = 20
"""Members of a role, or examples, that a comment names."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client that was seen."""

    client_id: str
    identity: str = ""
    """Empty for one that nobody proved: it is known by its Client Identifier alone."""
    attributes: tuple[tuple[str, str], ...] = ()
    roles: tuple[str, ...] = ()
    """Those of its identity."""

    @property
    def name(self) -> str:
        """Who it is."""
        return self.identity or self.client_id

    @property
    def subject(self) -> "Subject":
        """What a role is given to: an identity, or a client that is to become one."""
        return (self.identity, "" if self.identity else self.client_id)

    def values(self) -> Iterator[tuple[str, str, str]]:
        """Variable, its source and its own value, those that say most about it first."""
        own = [("client_id", "client_id", self.client_id), ("identity", "identity", self.identity)]
        named = [(name, f"attr.{name}", value) for name, value in sorted(self.attributes) if _ATTRIBUTE.match(name)]
        for variable, source, value in own + [each for each in named if each[0] not in _RESERVED]:
            if value and not _NO_LEVEL & set(value):
                yield variable, source, value


@dataclass(frozen=True, slots=True)
class Seen:
    """What it did."""

    client: Client
    action: Action
    topic: str
    """A Topic Name, or a Topic Filter if it subscribed."""
    qos: int = 0
    retain: bool = False
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the contract allows to one client."""

    client: Client
    role: str
    action: Action
    topic: str
    qos_max: int
    retain: bool
    was_seen: bool


@dataclass(frozen=True, slots=True)
class Lesson:
    """The contract and what it means."""

    text: str
    result: CheckResult
    roles: Mapping[str, Sequence[Client]]
    """Who is to have which role."""
    allowances: Sequence[Allowance]
    unspelt: Sequence[Seen]
    """What no policy can spell."""


@dataclass(slots=True)
class _Bound:
    qos: int = 0
    retain: bool = False
    bytes: int = 0
    examples: set[str] = field(default_factory=set)

    def widen(self, seen: Seen) -> None:
        self.qos = max(self.qos, seen.qos)
        self.retain |= seen.retain
        self.bytes = max(self.bytes, seen.bytes)
        self.examples.add(seen.topic)


Use = tuple[Action, str]
"""An action and the text of a pattern."""

Subject = tuple[str, str]
"""An identity; or nothing, and a Client Identifier."""


def learn(seen: Iterable[Seen], heading: Sequence[str] = ()) -> Lesson:
    """The contract of what was seen."""
    everything = tuple(seen)
    uses, unspelt = _generalised(everything)
    clients = _clients(everything)
    roles = _named(_alike(uses), clients)
    bounds = _bounds(everything)
    text = formatted(
        "\n".join([*(f"# {line}" for line in heading), *_topics(roles, uses, bounds), *_roles(roles, uses, clients)])
    )
    result = check(text, "learned")
    if not result.ok:
        raise AssertionError(f"what was learned is no policy: this is a bug of Bartizan: {result.errors[0]}")
    members = {role: tuple(client for one in group for client in clients[one]) for role, group in roles.items()}
    return Lesson(text, result, members, tuple(_allowances(members, uses, bounds, everything)), unspelt)


def pattern_of(client: Client, topic: str) -> Pattern | None:
    """The topic with the client's own values as variables; None where no policy can spell it."""
    taken: set[str] = set()
    levels: list[Level] = []
    for at, text in enumerate(topic.split("/")):
        level = _level(client, text, taken) if at or not text.startswith("$") else Literal(text)
        taken |= {level.name} if isinstance(level, Variable) else set()
        levels.append(level)
    try:
        pattern = Pattern.parse("/".join(map(_spelt, levels)))
    except PatternError:
        return None
    # A level such as "{x}" is a variable in a policy, whatever it is in a topic.
    return pattern if pattern.levels == tuple(levels) else None


def _level(client: Client, text: str, taken: set[str]) -> Level:
    if text in set(Wildcard):
        return Wildcard(text)
    # Twice the same variable is more than a template may have.
    found = (variable for variable, _, value in client.values() if value == text and variable not in taken)
    variable = next(found, None)
    return Literal(text) if variable is None else Variable(variable)


def _spelt(level: Level) -> str:
    if isinstance(level, Variable):
        return f"{{{level.name}}}"
    return level.value if isinstance(level, Wildcard) else level.text


def _generalised(everything: Sequence[Seen]) -> tuple[dict[Subject, set[Use]], tuple[Seen, ...]]:
    """By subject what it did, and what cannot be spelt."""
    uses: dict[Subject, set[Use]] = {}
    unspelt: list[Seen] = []
    for seen in everything:
        pattern = pattern_of(seen.client, seen.topic)
        if pattern is None or (seen.action is Action.PUBLISH and not _is_name(pattern)):
            unspelt.append(seen)
        else:
            uses.setdefault(seen.client.subject, set()).add((seen.action, pattern.text))
    return uses, tuple(unspelt)


def _is_name(pattern: Pattern) -> bool:
    """True if a message may have such a topic."""
    return not pattern.begins_with_dollar and not any(isinstance(level, Wildcard) for level in pattern.levels)


def _clients(everything: Sequence[Seen]) -> dict[Subject, list[Client]]:
    """By subject; one identity may have several."""
    found: dict[Subject, dict[Client, None]] = {}
    for seen in everything:
        found.setdefault(seen.client.subject, {})[seen.client] = None
    return {subject: sorted(clients, key=lambda client: client.client_id) for subject, clients in sorted(found.items())}


def _alike(uses: Mapping[Subject, set[Use]]) -> list[list[Subject]]:
    """Those who do the same. Of those whom nobody proved, only the ones that are named alike."""
    groups: dict[tuple[frozenset[Use], str], list[Subject]] = {}
    for subject in sorted(uses):
        identity, client_id = subject
        groups.setdefault((frozenset(uses[subject]), "" if identity else stem(client_id)), []).append(subject)
    return sorted(groups.values())


def stem(name: str) -> str:
    """What a name begins with, before the number that tells it from its kin: `press` of `press-01`."""
    return re.sub(r"[-_.:]*[0-9]*\Z", "", name) or name


def _named(
    groups: Sequence[Sequence[Subject]], clients: Mapping[Subject, Sequence[Client]]
) -> dict[str, Sequence[Subject]]:
    """A role's name for each: the one that its members have and no others, else what their names share."""
    held = [{client.roles for subject in group for client in clients[subject]} for group in groups]
    own = [_own(each, held) for each in held]
    roles: dict[str, Sequence[Subject]] = {}
    for group, name in zip(groups, own, strict=True):
        names = [stem(client.name) for subject in group for client in clients[subject]]
        roles[name or _fresh(names, {*roles, *own, EVERYBODY})] = group
    return roles


def _own(held: set[tuple[str, ...]], of_all: Sequence[set[tuple[str, ...]]]) -> str:
    """The one role that all of a group have, and nobody of another; empty if there is none."""
    (first, *others) = held
    if others or len(first) != 1 or first == (EVERYBODY,):
        return ""
    return first[0] if sum(first in each for each in of_all) == 1 else ""


def _fresh(names: Sequence[str], taken: Collection[str]) -> str:
    shared = _role_name(_beginning(names))
    numbered = (f"{shared[:56]}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (shared, *numbered) if name not in taken)


def _beginning(names: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(names), max(names)
    unlike = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(unlike, len(first))]


def _role_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:60]
    try:
        return RoleName.parse(name)
    except InvalidValue:
        return "client"


def _bounds(everything: Sequence[Seen]) -> dict[Use, _Bound]:
    bounds: dict[Use, _Bound] = {}
    for seen in everything:
        if (pattern := pattern_of(seen.client, seen.topic)) is not None:
            bounds.setdefault((seen.action, pattern.text), _Bound()).widen(seen)
    return bounds


def _is_declared(use: Use) -> bool:
    """True if a topic grants it, false if it is a permit of the role's own."""
    pattern = Pattern.parse(use[1])
    return not any(isinstance(level, Wildcard) for level in pattern.levels)


def _topics(
    roles: Mapping[str, Sequence[Subject]], uses: Mapping[Subject, set[Use]], bounds: Mapping[Use, _Bound]
) -> Iterator[str]:
    granted: dict[str, dict[Action, list[str]]] = {}
    for role, names in roles.items():
        for action, text in sorted(filter(_is_declared, uses[names[0]])):
            granted.setdefault(text, {}).setdefault(action, []).append(role)
    for text, by_action in sorted(granted.items()):
        bound = bounds.get((Action.PUBLISH, text)) or bounds[Action.SUBSCRIBE, text]
        yield f"\n[topics.{_quoted(text)}]"
        size = f", {bound.bytes} octets at most" if Action.PUBLISH in by_action else ""
        yield f"# for example {_comment(min(bound.examples))}{size}"
        yield 'title = ""'
        for action, names in sorted(by_action.items()):
            yield f"{action} = [{', '.join(map(_quoted, sorted(names)))}]"
        if Action.PUBLISH in by_action:
            yield f"qos_max = {bound.qos}"
            yield f"retain = {json.dumps(bound.retain)}"


def _roles(
    roles: Mapping[str, Sequence[Subject]],
    uses: Mapping[Subject, set[Use]],
    clients: Mapping[Subject, Sequence[Client]],
) -> Iterator[str]:
    for role, names in roles.items():
        own = uses[names[0]]
        variables = {variable for _, text in own for variable in Pattern.parse(text).variables}
        sources = {variable: source for client in clients[names[0]] for variable, source, _ in client.values()}
        yield f"\n[roles.{role}]"
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        yield f"# {', '.join(_comment(identity or client_id) for identity, client_id in names[:_NAMED_MAX])}{more}"
        binds = [f"{variable} = {_quoted(sources[variable])}" for variable in sorted(variables)]
        if binds:
            yield f"binds = {{ {', '.join(binds)} }}"
        permits = [text for _, text in sorted(use for use in own if not _is_declared(use))]
        if permits:
            yield "permit = ["
            yield from (f'  {{ action = "subscribe", filter = {_quoted(text)} }},' for text in permits)
            yield "]"


def _allowances(
    members: Mapping[str, Sequence[Client]],
    uses: Mapping[Subject, set[Use]],
    bounds: Mapping[Use, _Bound],
    everything: Sequence[Seen],
) -> Iterator[Allowance]:
    did: dict[tuple[Client, Action, str], _Bound] = {}
    for seen in everything:
        did.setdefault((seen.client, seen.action, seen.topic), _Bound()).widen(seen)
    for role, clients in members.items():
        for client in clients:
            for action, text in sorted(uses[client.subject]):
                topic = _spelt_for(client, Pattern.parse(text))
                if topic is None:
                    continue
                # Reading knows neither QoS nor RETAIN.
                bound = bounds[action, text] if action is Action.PUBLISH else _Bound()
                own = did.get((client, action, topic))
                was_seen = own is not None and (
                    action is Action.SUBSCRIBE or (own.qos, own.retain) == (bound.qos, bound.retain)
                )
                yield Allowance(client, role, action, topic, bound.qos, bound.retain, was_seen)


def _spelt_for(client: Client, pattern: Pattern) -> str | None:
    """The topic that a pattern is for this client; None if it lacks a value."""
    values = {variable: value for variable, _, value in client.values()}
    levels = [values.get(level.name) if isinstance(level, Variable) else _spelt(level) for level in pattern.levels]
    return None if None in levels else "/".join(level for level in levels if level is not None)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """What others chose, as it may stand in a comment."""
    return _CONTROLS.sub("?", text)
