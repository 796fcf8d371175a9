"""Records that no checkpoint covers though one was due: a chain that somebody made without the key, and others went on.

A checkpoint says how soon the next one follows, and a log begins with one. A record that comes later than that is signed
with those that are written with it; so nothing unsigned comes much later still.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bartizan.audit.damage import TORN

SLACK: Final = timedelta(minutes=5)
"""What is written together is not as old as this; a system has what was written on disk long before."""

INTERVAL_S_MAX: Final = 86_400
"""Behind segments that were retired, what the checkpoint before said is not known; no setting allows more."""


@dataclass(slots=True)
class Unsigned:
    """What came since the last good checkpoint."""

    _due: datetime | None = None
    """When the next checkpoint has to follow; None: nothing was read yet."""
    _overdue: tuple[int, datetime] | None = None
    """The first record that came later: its number, and when it was."""
    _is_told: bool = False

    def signed(self, checkpoint: Mapping[str, Any]) -> None:
        """A good checkpoint."""
        at, told = _time(checkpoint), checkpoint.get("detail")
        interval_s = told.get("interval_s") if isinstance(told, Mapping) else None
        within_s = interval_s if isinstance(interval_s, int) else INTERVAL_S_MAX
        self._due = at and at + timedelta(seconds=within_s)
        self._overdue, self._is_told = None, False

    def take(self, fields: Mapping[str, Any]) -> str:
        """What is wrong with a record that is no checkpoint; empty if nothing is, or if it was told."""
        at = _time(fields)
        if at is None:
            return "its time is none: forged"
        if self._due is None:
            self._due = at if fields["seq"] == 1 else at + timedelta(seconds=INTERVAL_S_MAX)
        if fields["what"] == TORN:
            # A crash took the checkpoint that was written with what is before.
            self._overdue = None
        if at < self._due or self._is_told:
            return ""
        if self._overdue is None:
            self._overdue = fields["seq"], at
        seq, since = self._overdue
        if at - since <= SLACK:
            return ""
        self._is_told = True
        return f"records from {seq} on were never signed, though it was time: made without the key"


def is_late(first: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
    """Whether one record was written so long after another that whatever was to be written with it is on disk."""
    begin, end = _time(first), _time(last)
    return begin is None or end is None or end - begin > SLACK


def _time(fields: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(fields["at"])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
