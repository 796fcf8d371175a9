"""When a time window is open, defined: by looking at a clock on the wall of its zone, minute by minute."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import listed

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def is_open(window: dict[str, Any], at: datetime) -> bool:
    """At this instant: on one of its days, yesterday's night too, it has opened and not closed since."""
    today = at.astimezone(ZoneInfo(window["zone"])).date()
    return any(
        DAYS[day.weekday()] in days_of(window["days"])
        and reads(day, window["from"], window["zone"])
        <= at
        < reads(day if window["from"] < window["to"] else day + DAY, window["to"], window["zone"])
        for day in (today - DAY, today)
    )


def days_of(said: Any) -> list[str]:
    """Days on which it opens: a range goes on over Sunday."""
    found: list[str] = []
    for word in listed(said):
        first, _, last = word.partition("-")
        week = [*DAYS, *DAYS][DAYS.index(first) :]
        found += week[: week.index(last or first) + 1]
    return found


def reads(day: date, clock: str, zone: str) -> datetime:
    """The first instant at which the clock reads so on this day, for an hour may come twice.

    What is passed over when it is set forward is there as many minutes later as if it had not been set.
    """
    hours, minutes = clock.split(":")
    wanted = datetime.combine(day, time()) + timedelta(hours=int(hours), minutes=int(minutes))
    shown, skipped = first_shown(day, zone), timedelta()
    while wanted - skipped not in shown:
        skipped += MINUTE
    return shown[wanted - skipped] + skipped


@lru_cache(maxsize=4096)
def first_shown(day: date, zone: str) -> dict[datetime, datetime]:
    """What the clock reads in the days around this one, and when it first does."""
    shown: dict[datetime, datetime] = {}
    at = datetime.combine(day - DAY, time(), UTC)
    for _ in range(4 * 24 * 60):
        shown.setdefault(at.astimezone(ZoneInfo(zone)).replace(tzinfo=None), at)
        at += MINUTE
    return shown
