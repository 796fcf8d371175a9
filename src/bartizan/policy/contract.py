"""The values of a policy: topics with their rules, roles with theirs. Frozen, and valid once built.

A `Pattern` is a Topic Filter in which `{name}` stands for one whole level. What a variable means is
the role's affair: bound, it is a value of the identity's own; unbound, any level.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bartizan.policy.condition import ALWAYS, Condition
from bartizan.policy.payload import Enforce, Example, Payload
from bartizan.policy.source import Position
from bartizan.policy.tenants import Tenant
from bartizan.policy.windows import Window

BOUND = "\ue000"
"""Begins the level that stands for an identity's own value: no policy spells this character of private use."""

CONTROL_TOPIC = "$CONTROL/dynamic-security/v1"
"""The one topic that begins with `$` and that clients may be let publish to: commands for the broker."""

PATTERN_BYTES_MAX = 1024
PATTERN_LEVELS_MAX = 128

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}\Z")
_ATTRIBUTE_SOURCE = re.compile(r"attr\.[a-z][a-z0-9_]{0,63}\Z")


class Action(StrEnum):
    """What a rule is about."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Effect(StrEnum):
    """What a rule does; a forbid beats every permit."""

    PERMIT = "permit"
    FORBID = "forbid"


class Wildcard(StrEnum):
    """A level that is not one level's text."""

    ONE = "+"
    MANY = "#"


@dataclass(frozen=True, slots=True)
class Literal:
    """A level with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A level whose value a role may bind."""

    name: str


Level: TypeAlias = Literal | Variable | Wildcard


class PatternError(ValueError):
    """A text is no pattern: what is wrong, and how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Pattern:
    """A Topic Filter with variables."""

    text: str
    levels: tuple[Level, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """The pattern of this text, or `PatternError`."""
        if not text:
            raise PatternError("a topic has at least one character", 'write it as "site/{site}/temperature"')
        if len(text.encode()) > PATTERN_BYTES_MAX or text.count("/") >= PATTERN_LEVELS_MAX:
            limits = f"{PATTERN_BYTES_MAX} octets and {PATTERN_LEVELS_MAX} levels"
            raise PatternError("the topic is too long", f"a topic of a policy has at most {limits}")
        if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text):  # noqa: PLR2004
            raise PatternError("the topic holds a control character", "remove it; see MQTT 5, 1.5.4")
        parts = text.split("/")
        levels = tuple(_level(part, is_last=at == len(parts) - 1) for at, part in enumerate(parts))
        if levels[0] == Literal("$share"):
            hint = "grant the filter inside: $share is taken off before the decision"
            raise PatternError("$share is not part of a topic", hint)
        return cls(text, levels)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its variables, in order."""
        return tuple(level.name for level in self.levels if isinstance(level, Variable))

    @property
    def begins_with_dollar(self) -> bool:
        """True if it spells a topic of the server's own, such as `$SYS/broker/uptime`."""
        return self.text.startswith("$")

    @property
    def widest_filter(self) -> str:
        """The Topic Filter it is where no variable is bound."""
        return "/".join(level.text if isinstance(level, Literal) else _wildcard(level) for level in self.levels)


def _wildcard(level: Variable | Wildcard) -> str:
    return level.value if isinstance(level, Wildcard) else Wildcard.ONE.value


def _level(part: str, *, is_last: bool) -> Level:
    if part == "+":
        return Wildcard.ONE
    if part == "#":
        if is_last:
            return Wildcard.MANY
        raise PatternError("# is not the last level", "use + for one level in the middle")
    if found := _VARIABLE.match(part):
        return Variable(found[1])
    if "+" in part or "#" in part:
        raise PatternError(f"the level {part!r} mixes a wildcard with text", "a wildcard is a whole level")
    if "{" in part or "}" in part:
        hint = "a variable is a whole level: a/{name}/b, of letters, digits and _"
        raise PatternError(f"the level {part!r} is not a variable", hint)
    return Literal(part)


def is_value_source(text: str) -> bool:
    """True if an identity has such a value: `client_id`, `identity` or `attr.NAME`."""
    return text in {"client_id", "identity"} or _ATTRIBUTE_SOURCE.match(text) is not None


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic: what it carries, whose it is, and which roles may do what with it."""

    template: Pattern
    at: Position
    title: str = ""
    description: str = ""
    unit: str = ""
    owner: str = ""
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    qos_max: int = 2
    retain: bool = True
    when: Condition = ALWAYS
    payload: Payload | None = None
    enforce: Enforce | None = None
    """What becomes of a message that is not as declared; None: what the whole contract says."""
    rate_per_s: int | None = None
    """Messages per second of one client at most."""
    retention_s: int | None = None
    """Seconds after which a message is of no use."""
    provenance: bool = False
    """The broker tells whose its messages are, in User Properties that no client can forge."""
    examples: tuple[Example, ...] = ()

    @property
    def says_what_messages_are(self) -> bool:
        """True if it asks something of messages, beside who may send them."""
        bounds = (self.payload, self.enforce, self.rate_per_s, self.retention_s)
        return self.provenance or any(said is not None for said in bounds)

    @property
    def is_enforced(self) -> bool:
        """True if a message may be other than it declares: then `enforce` says what becomes of it."""
        return self.rate_per_s is not None or (self.payload is not None and self.payload.asks_anything)

    def roles(self, action: Action) -> tuple[str, ...]:
        """The roles that may do this."""
        return self.publish if action is Action.PUBLISH else self.subscribe


@dataclass(frozen=True, slots=True)
class Rule:
    """A role's own permit or forbid."""

    effect: Effect
    actions: tuple[Action, ...]
    filter: Pattern
    at: Position
    qos_max: int = 2
    retain: bool = True
    when: Condition = ALWAYS
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """Names that belong to each identity of a role: nobody else publishes below them (`ownership`)."""

    filter: Pattern
    at: Position
    shared: bool = False
    """True if several identities may own the same names, together."""

    def __str__(self) -> str:
        return f"{self.filter.text}{' (shared)' if self.shared else ''}"


@dataclass(frozen=True, slots=True)
class Role:
    """A role: what it includes, whose values its variables take, its own rules, its limits."""

    name: str
    at: Position
    includes: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    owns: tuple[Owned, ...] = ()
    permit: tuple[Rule, ...] = ()
    forbid: tuple[Rule, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    client_ids: tuple[str, ...] = ()
    """Which Client Identifiers its identities may use (`naming`); empty: it says nothing."""
    user_names: tuple[str, ...] = ()
    credential_days_max: tuple[tuple[str, int], ...] = ()
    """How old a kind of credential may become."""
    is_declared: bool = True
    """False for a role that topics name and no `[roles.NAME]` table describes."""

    def bound_to(self, variable: str) -> str | None:
        """Where the value of this variable comes from; None if any level does."""
        return dict(self.binds).get(variable)

    def scope(self, pattern: Pattern) -> str:
        """The filter that a pattern is in this role, in which a bound variable is a word of its own that nothing else is."""
        return "/".join(
            BOUND + source if isinstance(level, Variable) and (source := self.bound_to(level.name)) else wide
            for level, wide in zip(pattern.levels, pattern.widest_filter.split("/"), strict=True)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy, checked."""

    origin: str
    topics: tuple[Topic, ...]
    roles: tuple[Role, ...]
    windows: tuple[Window, ...] = ()
    """In ascending order of name."""
    tenants: tuple[Tenant, ...] = ()
    """In ascending order of name."""
    enforce: Enforce | None = None
    """What becomes of messages to undeclared topics, and of those that are not as a topic declares that says nothing.

    None: it does not say. Then nobody looks at undeclared topics, and of declared ones it is `off`.
    """

    def enforced(self, topic: Topic) -> Enforce:
        """What becomes of a message that is not as this topic declares."""
        return topic.enforce or self.enforce or Enforce.OFF

    def topics_by_role(self) -> Mapping[str, Sequence[tuple[Topic, Action]]]:
        """What the topics grant to each role that they name, in the order of the text."""
        return topics_by_role(self.topics)


def topics_by_role(topics: Iterable[Topic]) -> Mapping[str, Sequence[tuple[Topic, Action]]]:
    """One pass for all roles: a policy may have ten thousand of both."""
    granted: dict[str, list[tuple[Topic, Action]]] = {}
    for topic in topics:
        for action in Action:
            for role in topic.roles(action):
                granted.setdefault(role, []).append((topic, action))
    return granted
