"""Tells when a time window of the policy in force opens or closes. The engine keeps time by itself; this is for people."""

from datetime import UTC, datetime
from typing import Protocol

from bartizan.policy import CompiledPolicy, schedule

LOOK_INTERVAL_S = 60.0
"""How often to look at least: another policy may have other windows."""

_LATE_S = 0.05


class Notes(Protocol):
    """Where events are told."""

    def note(self, kind: str, /, **fields: object) -> None:
        """Tells one."""
        ...


class WindowWatch:
    """Remembers which windows were open at the last look."""

    def __init__(self, journal: Notes) -> None:
        self._journal = journal
        self._policy: CompiledPolicy | None = None
        self._open: tuple[bool, ...] = ()

    def look(self, policy: CompiledPolicy, now: datetime) -> float:
        """Tells what opened and closed since the last look; the seconds until there may be more to tell."""
        if not policy.windows:
            self._policy = policy
            return LOOK_INTERVAL_S
        changes = schedule(policy.windows, now, 1).changes
        _, state = changes[0]
        # What another policy opens or closes is told by its own event.
        if policy == self._policy:
            for window, was_open, is_open in zip(policy.windows, self._open, state, strict=True):
                if was_open is not is_open:
                    self._journal.note("window_opened" if is_open else "window_closed", window=window.name)
        self._policy, self._open = policy, state
        if len(changes) == 1:
            return LOOK_INTERVAL_S
        until = datetime.fromtimestamp(changes[1][0] / 1000, UTC) - now
        return min(LOOK_INTERVAL_S, max(0.0, until.total_seconds()) + _LATE_S)
