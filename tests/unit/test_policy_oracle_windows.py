"""Hours of windows against the oracle: at any minute, in any zone, and where its clocks are set forward or back."""

from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy import schedule
from tests.oracle_windows import DAYS, is_open
from tests.unit.policy.strategies import compiled_of

BEGIN, HOURS = datetime(2026, 1, 1, tzinfo=UTC), 3 * 366 * 24
AHEAD_DAYS = 14
# By half an hour and by two, at midnight, against the sun's course, in a month of the moon; and not at all.
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut", "Africa/Cairo",
    "America/Santiago", "America/St_Johns", "Europe/Dublin", "Africa/Casablanca", "Pacific/Chatham", "Asia/Kathmandu",
    "UTC",
)  # fmt: skip


@cache
def settings_of(zone: str) -> list[datetime]:
    """Hours after which its clocks had been set."""
    hours = [BEGIN + timedelta(hours=number) for number in range(HOURS)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, before, offset in zip(hours[1:], offsets, offsets[1:], strict=False) if before != offset]


clocks = st.one_of(
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
    st.sampled_from(["00:00", "00:30", "01:00", "02:00", "02:30", "03:00", "23:00", "23:30", "23:59"]),
)
days = st.one_of(st.sampled_from(DAYS), st.builds("{}-{}".format, st.sampled_from(DAYS), st.sampled_from(DAYS)))


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """A window as the policy has it."""
    begin, end = draw(clocks), draw(st.one_of(clocks, st.just("24:00")))
    said = draw(st.one_of(days, st.lists(days, min_size=1, max_size=3)))
    return {"days": said, "from": begin, "to": "24:00" if begin == end else end, "zone": draw(st.sampled_from(ZONES))}


@settings(max_examples=250, deadline=None)
@given(st.lists(windows(), min_size=1, max_size=2), st.integers(0, 2**32).map(Random))
def test_a_window_is_open_when_the_clock_on_the_wall_says_so(drawn, random):
    said = {f"w{number}": window for number, window in enumerate(drawn)}
    native = compiled_of({"topics": {}, "roles": {}, "windows": said})
    at = random.choice([*settings_of(drawn[0]["zone"]), BEGIN + timedelta(hours=random.randrange(HOURS))])
    begin = at - timedelta(minutes=random.choice((0, 1, random.randrange(60), random.randrange(12 * 24 * 60))))
    ahead = schedule(native.windows, begin, AHEAD_DAYS)
    assert ahead.until_ms == (begin + timedelta(days=AHEAD_DAYS)).timestamp() * 1000
    # Each change as it happens and a second before; the hours around where clocks are set; anything else.
    asked = [datetime.fromtimestamp(ms / 1000, UTC) for ms, _ in ahead.changes]
    asked += [each - timedelta(seconds=1) for each in asked[1:]]
    asked += [at + timedelta(minutes=random.randint(-300, 300)) for _ in range(10)]
    asked += [begin + timedelta(minutes=random.randrange(AHEAD_DAYS * 24 * 60)) for _ in range(5)]
    for each in asked:
        if not begin <= each < begin + timedelta(days=AHEAD_DAYS):
            continue
        _, told = [change for change in ahead.changes if change[0] <= each.timestamp() * 1000][-1]
        assert told == tuple(is_open(window, each) for window in drawn), each
