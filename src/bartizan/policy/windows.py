"""Time windows: hours of a week in a zone, and when exactly they open and close in the time ahead."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bartizan.policy.source import Position

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """`[windows.NAME]`: some hours of some days. One that ends before it begins goes on into the next day."""

    name: str
    days: tuple[int, ...]
    """0 is Monday: the days on which it opens."""
    from_minute: int
    to_minute: int
    """Minutes since midnight; `to_minute` is the first that is outside. 1,440 is the end of the day."""
    zone: str
    at: Position = field(default=Position(1, 1), compare=False)

    def __str__(self) -> str:
        days = " ".join(DAYS[day] for day in self.days)
        return f"{self.name} ({days} {_clock(self.from_minute)}-{_clock(self.to_minute)} {self.zone})"

    def as_image(self) -> dict[str, object]:
        """Its form in a policy image."""
        return {
            "name": self.name,
            "days": list(self.days),
            "from": self.from_minute,
            "to": self.to_minute,
            "zone": self.zone,
        }

    def openings(self, begin: datetime, days: int) -> list[tuple[datetime, datetime]]:
        """When it is open from the day before `begin` on, for so many days and one more, in UTC."""
        zone = ZoneInfo(self.zone)
        first = begin.astimezone(zone).date() - timedelta(days=1)
        found: list[tuple[datetime, datetime]] = []
        for number in range(days + 3):
            day = first + timedelta(days=number)
            if day.weekday() not in self.days:
                continue
            length = self.to_minute - self.from_minute
            last = day if length > 0 else day + timedelta(days=1)
            # Where clocks are set forward an hour does not exist, and where they are set back one is there twice:
            # the window begins and ends where Python's first reading of it is.
            opened = _at(datetime.combine(day, time()), self.from_minute, zone)
            closed = _at(datetime.combine(last, time()), self.to_minute, zone)
            if opened < closed:
                found.append((opened, closed))
        return found


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _at(midnight: datetime, minute: int, zone: ZoneInfo) -> datetime:
    return (midnight + timedelta(minutes=minute)).replace(tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which windows are open from when on, in the order of their names; behind `until_ms`, none. Unix milliseconds."""

    until_ms: int
    changes: tuple[tuple[int, tuple[bool, ...]], ...]


def schedule(windows: Sequence[Window], begin: datetime, days: int) -> Schedule:
    """What happens to these windows in so many days from `begin` on."""
    openings = [window.openings(begin, days) for window in windows]
    until = begin + timedelta(days=days)
    times = {begin} | {at for each in openings for pair in each for at in pair if begin < at < until}
    changes: list[tuple[int, tuple[bool, ...]]] = []
    for at in sorted(times):
        state = tuple(any(opened <= at < closed for opened, closed in each) for each in openings)
        if not changes or changes[-1][1] != state:
            changes.append((_ms(at), state))
    return Schedule(_ms(until), tuple(changes))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
