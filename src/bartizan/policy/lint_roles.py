"""What a role should rather not be able to do: readers that write, devices that pose as others, `$` topics."""

from collections.abc import Iterator, Sequence
from typing import Final

from bartizan.model.principal import ANONYMOUS_ROLE, QUARANTINE_ROLE
from bartizan.policy.contract import Action, Effect, Literal
from bartizan.policy.lint_reach import Found
from bartizan.policy.overlap import Filters
from bartizan.policy.places import Granted, Places
from bartizan.policy.source import Position

ACTUATORS: Final = frozenset(
    ("actuators", "actuator", "commands", "command", "cmd", "cmnd", "control", "setpoint", "setpoints", "set", "write")
)
"""A topic with one of these levels moves something."""

READERS: Final = frozenset(
    ("reader", "readers", "readonly", "read-only", "viewer", "observer", "monitor", "auditor", "guest", "historian")
)
"""A role with one of these names is meant to read."""

NO_QUARANTINE: Final = (
    f"there is no role {QUARANTINE_ROLE}: who is put into quarantine may do nothing, not even be mended"
)

QUARANTINE_LINES: Final = """\
[topics."remediation/{client}/#"]
publish   = ["quarantine"]
subscribe = ["quarantine"]

[roles.quarantine]
binds = { client = "client_id" }
"""
"""What a policy says that lets who is in quarantine be mended; as the first policy does."""

_OWN_DOLLAR: Final = frozenset(("$SYS", "$CONTROL"))
_ODD: Final = frozenset(("$share", "$queue", "$SYS"))


def roles_that_reach_too_far(places: Places) -> Iterator[Found]:
    """All findings about what a role may do."""
    moving = _Moving(places)
    for role, rules in places.by_role.items():
        permits = [rule for rule in rules if rule.effect is Effect.PERMIT]
        publishes = [rule for rule in permits if Action.PUBLISH in rule.actions]
        for rule in [rule for rule in publishes if rule.role.name == role]:
            yield from _to_actuators(places, moving, role, rule)
            yield from _as_anyone(places, role, rule)
        if role == ANONYMOUS_ROLE and publishes:
            message = "whoever presents nothing may publish here"
            yield Found(
                "anonymous-publishes", places.excerpt(publishes[0]), message, "enrol what publishes, and give it a role"
            )
        for rule in [rule for rule in permits if rule.role.name == role]:
            yield from _sys(places, role, rule, is_device=bool(publishes))
        yield from _dollar(places, [rule for rule in rules if rule.role.name == role])


def nothing_for_quarantine(places: Places) -> Iterator[Found]:
    """A policy that has no role for who is in quarantine; an empty table says that it is meant."""
    if QUARANTINE_ROLE not in places.by_role:
        lines = QUARANTINE_LINES.strip().replace("\n", "\n    ")
        first = Position(line=1, column=1, origin=next(iter(places.texts)))
        yield Found("no-quarantine-role", places.at(first), NO_QUARANTINE, f"add:\n\n    {lines}\n")


class _Moving:
    """The declared topics that move something."""

    def __init__(self, places: Places) -> None:
        topics = places.policy.topics
        self._filters = [topic.template.widest_filter for topic in topics if ACTUATORS & _words(topic.template.text)]
        self._near = Filters(self._filters)

    def reached(self, rule: Granted) -> str | None:
        """A topic that moves something, and that this rule reaches; None if there is none."""
        if ACTUATORS & _words(rule.pattern.text):
            return rule.pattern.text
        near = self._near.meeting(rule.pattern.widest_filter)
        return self._filters[near[0]] if near else None


def _words(text: str) -> set[str]:
    return {level.lower() for level in text.split("/")}


def _to_actuators(places: Places, moving: _Moving, role: str, rule: Granted) -> Iterator[Found]:
    reached = moving.reached(rule)
    if reached is None:
        return
    is_reader = role == ANONYMOUS_ROLE or bool(READERS & {role, *role.split("-"), *role.split("_")})
    if is_reader:
        message = f"role {role}, by its name a reader, may publish to {reached}, which moves something"
        yield Found("actuator-writable", places.excerpt(rule), message, "give the right to a role that is meant to act")
    elif not rule.is_of_topic and not ACTUATORS & _words(rule.pattern.text):
        message = f"role {role} may publish to {reached}, which moves something, by the wildcard {rule.pattern.text}"
        yield Found("actuator-writable", places.excerpt(rule), message, "name the role in the topic, or forbid it")


def _as_anyone(places: Places, role: str, rule: Granted) -> Iterator[Found]:
    """A topic with variables none of which the role binds: each of its identities may write for every other."""
    variables = rule.pattern.variables
    if rule.is_of_topic and rule.role.is_declared and variables and not any(map(rule.role.bound_to, variables)):
        named = ", ".join(f"{{{name}}}" for name in variables)
        message = f"every identity of role {role} may publish for every other: it binds none of {named}"
        yield Found(
            "publishes-as-anyone",
            places.excerpt(rule),
            message,
            f'bind one: binds = {{ {variables[-1]} = "client_id" }}',
        )


def _sys(places: Places, role: str, rule: Granted, *, is_device: bool) -> Iterator[Found]:
    if (
        Action.SUBSCRIBE in rule.actions
        and rule.pattern.text.startswith("$SYS/")
        and (is_device or role == ANONYMOUS_ROLE)
    ):
        message = (
            f"role {role}, which publishes or is anonymous, may read {rule.pattern.text}: the broker's own figures"
        )
        yield Found("sys-exposed", places.excerpt(rule), message, "give it to a role of its own, as monitor")


def _dollar(places: Places, rules: Sequence[Granted]) -> Iterator[Found]:
    for rule in rules:
        first, *below = rule.pattern.levels
        if isinstance(first, Literal) and first.text.startswith("$") and first.text not in _OWN_DOLLAR:
            message = f"nothing is ever sent to {rule.pattern.text}: of $ topics there are those of $SYS and $CONTROL"
            yield Found("dollar-topic", places.excerpt(rule), message, "remove it")
        if any(isinstance(level, Literal) and level.text in _ODD for level in below):
            message = f"{rule.pattern.text} holds a word that means something at the first level only"
            yield Found(
                "dollar-topic", places.excerpt(rule), message, "grant the filter without it: $share is taken off before"
            )
        if rule.effect is Effect.FORBID and Action.SUBSCRIBE in rule.actions:
            yield from _escapes(places, rule, rules)


def _escapes(places: Places, forbid: Granted, rules: Sequence[Granted]) -> Iterator[Found]:
    """A forbid of everything that a permit of a `$` topic is not held by."""
    if forbid.pattern.text not in {"#", "+/#"}:
        return
    for rule in rules:
        if rule.effect is Effect.PERMIT and rule.pattern.text.startswith("$"):
            message = f"{forbid.pattern.text} does not forbid {rule.pattern.text}: a wildcard never reaches $ topics"
            yield Found(
                "dollar-escapes-forbid", places.excerpt(forbid), message, f'add a forbid of "{rule.pattern.text}"'
            )
