"""Ordered lists of rules, one for each class of identities -> roles, and which of them each class gets.

What all share is one role, and a class has a role of its own for the rest: as long as the order allows it. Where the
shared role's forbids would take what the class is allowed first, the class has everything in its own role instead.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bartizan.model.difference import Difference, Weight
from bartizan.policy.condition import Condition
from bartizan.policy.contract import Action, Effect, Role, Rule, Variable
from bartizan.policy.imports.filters import Levels, pattern_of, text_of
from bartizan.policy.imports.ordered import Clash, Entry, Unordered, unordered
from bartizan.policy.source import Position

SHARED = "all-users"
"""The role of what everybody has who proves a name."""

ROLE_CHARS_MAX = 64

_Same: TypeAlias = tuple[Levels, int, Condition]


@dataclass
class Roles:
    """Makes the roles of one import."""

    file: str
    sources: Mapping[str, str]
    """Where the value of each variable comes from."""

    roles: list[Role] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    _shared: Unordered = field(default_factory=lambda: Unordered((), (), ()))
    _names: set[str] = field(default_factory=lambda: {SHARED, "anonymous"})

    def share(self, entries: Sequence[Entry]) -> None:
        """The list of those who have no list of their own."""
        self._shared = unordered(entries)
        self._tell(self._shared.clashes, "everybody")
        if self._shared.permits or self._shared.forbids:
            self.roles.append(self._role(SHARED, self._shared))

    @property
    def shared(self) -> tuple[str, ...]:
        """The roles of those who have no list of their own."""
        return (SHARED,) if self._shared.permits or self._shared.forbids else ()

    def of(self, entries: Sequence[Entry], name: str, who: str) -> tuple[str, ...]:
        """The roles of a class with this list, which ends with the shared one; `name` is its own role's."""
        own = unordered(entries)
        if own == self._shared:
            return self.shared
        self._tell(own.clashes, who)
        given = self.shared
        if _has(own, self._shared):
            own = _without(own, self._shared)
        else:
            given = ()
        if not own.permits and not own.forbids:
            return given
        self.roles.append(self._role(name, own))
        return (name, *given)

    def alone(self, entries: Sequence[Entry], name: str, who: str) -> tuple[str, ...]:
        """The role of a class that has nothing in common with the others."""
        own = unordered(entries)
        self._tell(own.clashes, who)
        self.roles.append(self._role(name, own))
        return (name,)

    def name_for(self, kind: str, text: str) -> str:
        """A role's name that tells whose it is, and that no other has."""
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9_]+", "-", f"{kind}-{plain}").strip("-")[: ROLE_CHARS_MAX - 6].rstrip("-")
        name, count = slug, 1
        while name in self._names:
            count += 1
            name = f"{slug}-{count}"
        self._names.add(name)
        return name

    def _role(self, name: str, rules: Unordered) -> Role:
        used = {
            level.name
            for entry in (*rules.permits, *rules.forbids)
            for level in entry.levels
            if isinstance(level, Variable)
        }
        return Role(
            name=name,
            at=Position(1, 1),
            binds=tuple((variable, self.sources[variable]) for variable in sorted(used)),
            permit=_rules(rules.permits, Effect.PERMIT, self.file),
            forbid=_rules(rules.forbids, Effect.FORBID, self.file),
        )

    def _tell(self, clashes: Sequence[Clash], who: str) -> None:
        for clash in clashes:
            does = "publish to" if clash.denied.action is Action.PUBLISH else "receive"
            message = (
                f"line {clash.allowed.line} lets {who} {does} {text_of(clash.topics)} before "
                f"line {clash.denied.line} denies it"
            )
            effect = "a forbid beats every permit here, whatever the order: it is denied"
            at, topics = clash.denied.line, text_of(clash.topics)
            self.differences.append(Difference(Weight.LOST, "order", self.file, at, message, effect, topics))


def _has(own: Unordered, shared: Unordered) -> bool:
    return set(shared.permits) <= set(own.permits) and set(shared.forbids) <= set(own.forbids)


def _without(own: Unordered, shared: Unordered) -> Unordered:
    permits, forbids = set(shared.permits), set(shared.forbids)
    return Unordered(
        tuple(entry for entry in own.permits if entry not in permits),
        tuple(entry for entry in own.forbids if entry not in forbids),
        own.clashes,
    )


def _rules(entries: Sequence[Entry], effect: Effect, file: str) -> tuple[Rule, ...]:
    """One rule for each filter, of both actions where both have it."""
    together: dict[_Same, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.line):
        together.setdefault((entry.levels, entry.line, entry.when), []).append(entry)
    return tuple(
        Rule(
            effect=effect,
            actions=tuple(action for action in Action if any(entry.action is action for entry in same)),
            filter=pattern_of(levels),
            at=Position(1, 1),
            qos_max=min(entry.qos_max for entry in same),
            retain=all(entry.retain for entry in same),
            when=when,
            reason=f"{file}:{line}" if line else "",
        )
        for (levels, line, when), same in together.items()
    )
