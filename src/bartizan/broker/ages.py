"""Watches over the ages of credentials: tells 30, 7 and 1 days before one ends, and once that it has.

Every identity is looked at now and then, in slices, so that a million of them hold nobody up. What was told is
remembered for as long as this process lives; how many there are is in the metrics.
"""

from datetime import UTC, datetime, timedelta

from bartizan.broker.directory import LiveDirectory
from bartizan.broker.log import Journal
from bartizan.identity.ages import WARNED_DAYS, AgeLimits, Ending, endings
from bartizan.identity.records import time_text

LOOK_INTERVAL_S = 3_600.0
"""How often all of them are looked at."""

FIRST_LOOK_S = 30.0
"""After the start: not while clients come back."""

TELL_MAX = 100
"""Told one by one in one look; further ones are told as a number."""

TOLD_MAX = 100_000
"""Remembered as told; of further ones only the number is known."""


class AgeWatch:
    """Which credentials of a broker's identities are near their end."""

    def __init__(self, directory: LiveDirectory, limits: AgeLimits, journal: Journal, *, enforced: bool) -> None:
        self._directory = directory
        self._limits = limits
        self._journal = journal
        self._enforced = enforced
        self._told: dict[tuple[str, str], int] = {}
        self.counts: dict[int, int] = dict.fromkeys((*WARNED_DAYS, 0), 0)
        """How many end within so many days; 0: have ended."""

    async def look(self) -> None:
        """Looks at every identity, tells what is new, and counts."""
        at = datetime.now(UTC)
        counts = dict.fromkeys((*WARNED_DAYS, 0), 0)
        told: dict[tuple[str, str], int] = {}
        new = 0
        async for identity in self._directory.everyone():
            if identity.refusal(at) is not None:
                continue
            for ending in endings(identity, self._limits, at=at):
                stage = _stage(ending, at)
                for days in counts:
                    # Of what has ended nothing is near its end.
                    counts[days] += 0 < stage <= days or stage == days == 0
                key = (str(identity.name), ending.credential.id)
                if len(told) < TOLD_MAX:
                    told[key] = stage
                    if self._told.get(key) != stage:
                        new += 1
                        self._tell(ending, at, new)
        if new > TELL_MAX:
            self._journal.note("repeated", kind="credential_expiring", about="", count=new - TELL_MAX)
        self._told, self.counts = told, counts

    def _tell(self, ending: Ending, at: datetime, number: int) -> None:
        if number <= TELL_MAX:
            self._journal.note(
                "credential_expiring",
                identity=str(ending.identity.name),
                credential=ending.credential.id,
                kind=ending.credential.kind,
                ends_at=time_text(ending.ends_at),
                days_left=max(ending.days_left(at), -1),
                why=ending.why,
                effect="refused" if self._enforced or ending.why != "age" else "warned",
            )


def _stage(ending: Ending, at: datetime) -> int:
    """The fewest days of `WARNED_DAYS` within which it ends; 0 when it has ended."""
    if ending.ends_at <= at:
        return 0
    return min((days for days in WARNED_DAYS if ending.ends_at - at <= timedelta(days=days)), default=WARNED_DAYS[0])
