"""A list of rules where the first match decides -> permits and forbids, where a forbid beats every permit.

Other brokers read rules in an order; ours have none. A denial there is a forbid here as long as it need not let pass
what an earlier rule allows. What it shares with later rules is all that has to be forbidden, since everything else is
denied anyway; and what an earlier rule allows in whole need not be. What is left over is a `Clash`: an earlier rule
allows a part of what has to be forbidden. It is forbidden here: an import takes, it never gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bartizan.policy.condition import ALWAYS, Condition
from bartizan.policy.contract import Action
from bartizan.policy.imports.filters import ALL, Levels, covers, is_dollar, overlaps, plain, shared

QOS_MAX = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule of an ordered list, for one action."""

    allow: bool
    action: Action
    levels: Levels
    line: int
    qos_max: int = QOS_MAX
    retain: bool = True
    when: Condition = ALWAYS

    @property
    def is_whole(self) -> bool:
        """True if it allows every message to its topics, whenever it counts."""
        return self.qos_max == QOS_MAX and self.retain

    def counts_with(self, other: "Entry") -> bool:
        """True if it counts whenever the other does."""
        return self.when in (ALWAYS, other.when)


@dataclass(frozen=True, slots=True)
class Clash:
    """A denial that takes away what an earlier rule allowed."""

    denied: Entry
    allowed: Entry
    topics: Levels
    """The part that is lost, or more than it where a variable decides."""


@dataclass(frozen=True, slots=True)
class Unordered:
    """The same without order."""

    permits: tuple[Entry, ...]
    forbids: tuple[Entry, ...]
    clashes: tuple[Clash, ...]


def unordered(entries: Sequence[Entry]) -> Unordered:
    """Permits and forbids that decide as this list does, but for the clashes."""
    permits: list[Entry] = []
    forbids: list[Entry] = []
    clashes: list[Clash] = []
    for action in Action:
        own = [entry for entry in entries if entry.action is action]
        allowed = _effective(own)
        permits += [own[at] for at in allowed]
        for at, entry in enumerate(own):
            if not entry.allow:
                earlier = [own[index] for index in allowed if index < at]
                later = [own[index] for index in allowed if index > at]
                for forbid in _forbids(entry, earlier, later):
                    if not any(_includes(known, forbid) for known in forbids if known.action is action):
                        forbids.append(forbid)
                        clashes += _clashes(forbid, earlier)
    return Unordered(tuple(permits), tuple(forbids), tuple(clashes))


def _effective(entries: Sequence[Entry]) -> list[int]:
    """Which rules allow something that no earlier one denies in whole or allows alike."""
    found: list[int] = []
    for at, entry in enumerate(entries):
        hidden = any(
            _includes(before, entry) and (not before.allow or before == _like(entry, before)) for before in entries[:at]
        )
        # Nobody publishes to the server's own topics here; whoever imports says so.
        if entry.allow and not hidden and not (entry.action is Action.PUBLISH and is_dollar(entry.levels)):
            found.append(at)
    return found


def _like(entry: Entry, other: Entry) -> Entry:
    """This entry in the other's place: equal to it if it allows the very same."""
    return replace(entry, levels=other.levels, line=other.line, when=other.when)


def _includes(wide: Entry, narrow: Entry) -> bool:
    """True if it matches whatever the narrow one matches, whenever that counts."""
    return wide.counts_with(narrow) and covers(wide.levels, narrow.levels)


def _forbids(denied: Entry, earlier: Sequence[Entry], later: Sequence[Entry]) -> list[Entry]:
    if plain(denied.levels) != ALL and not any(overlaps(denied.levels, allowed.levels) for allowed in earlier):
        # It says what was written, and goes on saying it when a role is added. To deny everything is the default.
        return [denied]
    found: list[Entry] = []
    for allowed in later:
        part = shared(denied.levels, allowed.levels)
        if part is not None:
            rest = replace(denied, levels=part)
            if not any(before.is_whole and _includes(before, rest) for before in earlier):
                found.append(rest)
    return found


def _clashes(forbid: Entry, earlier: Sequence[Entry]) -> list[Clash]:
    return [
        Clash(forbid, allowed, part)
        for allowed in earlier
        if (part := shared(forbid.levels, allowed.levels)) is not None
    ]
