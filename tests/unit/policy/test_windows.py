"""When time windows open and close: zones, nights, weekends, and the two days on which clocks are set."""

from datetime import UTC, datetime, timedelta

import pytest

from bartizan.policy import Window, check, schedule

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
WEEK = range(7)


def window(begin: str, end: str, zone: str = "UTC", days: str = "mon-sun") -> Window:
    text = f'[windows.w]\ndays = "{days}"\nfrom = "{begin}"\nto = "{end}"\nzone = "{zone}"\n'
    result = check(text, "windows")
    assert result.compiled is not None, result.errors
    (read,) = result.compiled.windows
    return read


def is_open(read: Window, at: datetime, begin: datetime = MONDAY) -> bool:
    ahead = schedule([read], begin, 14)
    ms = at.timestamp() * 1000
    assert ms < ahead.until_ms
    return [state for from_ms, (state,) in ahead.changes if from_ms <= ms][-1]


def at(day: int, clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return MONDAY + timedelta(days=day, hours=int(hours), minutes=int(minutes))


@pytest.mark.parametrize(("clock", "expected"), [("05:59", False), ("06:00", True), ("13:59", True), ("14:00", False)])
def test_a_window_holds_from_its_first_minute_to_the_one_before_its_last(clock, expected):
    assert all(is_open(window("06:00", "14:00"), at(day, clock)) is expected for day in WEEK)


def test_a_window_that_ends_before_it_begins_goes_over_midnight():
    night = window("22:00", "06:00", days="fri")
    assert [day for day in WEEK if is_open(night, at(day, "23:00"))] == [4]
    assert [day for day in WEEK if is_open(night, at(day, "05:59"))] == [5]
    assert not any(is_open(night, at(day, "06:00")) for day in WEEK)


def test_a_night_that_began_yesterday_is_open_now():
    assert is_open(window("22:00", "06:00", days="sun"), MONDAY + timedelta(hours=1))


def test_days_may_go_over_the_end_of_the_week_and_a_day_has_24_hours():
    weekend = window("00:00", "24:00", days="sat-mon")
    assert [day for day in WEEK if is_open(weekend, at(day, "00:00")) and is_open(weekend, at(day, "23:59"))] == [
        0,
        5,
        6,
    ]


def test_hours_are_those_of_the_zone():
    assert is_open(window("06:00", "14:00", "America/New_York"), at(0, "11:00"))
    assert not is_open(window("06:00", "14:00", "America/New_York"), at(0, "10:59"))


def test_clocks_that_are_set_forward_and_back_change_no_local_hour():
    berlin = window("06:00", "07:00", "Europe/Berlin")
    spring = datetime(2027, 3, 27, tzinfo=UTC)
    assert is_open(berlin, spring + timedelta(hours=5, minutes=30), spring)
    assert not is_open(berlin, spring + timedelta(hours=4, minutes=30), spring)
    assert is_open(berlin, spring + timedelta(days=1, hours=4, minutes=30), spring)
    assert not is_open(berlin, spring + timedelta(days=1, hours=5, minutes=30), spring)


def test_a_schedule_begins_at_once_has_all_windows_in_order_and_ends():
    ahead = schedule([window("00:00", "12:00"), window("06:00", "18:00")], MONDAY, 1)
    hours = [((from_ms - MONDAY.timestamp() * 1000) / 3_600_000, state) for from_ms, state in ahead.changes]
    assert hours == [(0, (True, False)), (6, (True, True)), (12, (False, True)), (18, (False, False))]
    assert ahead.until_ms == (MONDAY + timedelta(days=1)).timestamp() * 1000
    assert schedule([], MONDAY, 1).changes == ((int(MONDAY.timestamp() * 1000), ()),)
