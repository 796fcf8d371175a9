"""Much more than usual at this hour of the week is told; what comes every Monday is not."""

from collections.abc import Callable

from bartizan.detect.baseline import IDENTITIES_MAX, Volume
from bartizan.model.finding import Finding
from bartizan.model.signal import Tick, Traffic
from tests.unit.detect.days import DAY_S, MONDAY_S

HOUR_S = 3_600.0
WEEK_S = 7 * DAY_S
SPAN_S = 300.0


def sent(at_s: float, publishes: int, identity: str = "press-21", octets: int = 0) -> Traffic:
    return Traffic(at_s=at_s, identity=identity, publishes=publishes, octets=octets or 100 * publishes)


def run(volume: Volume, from_s: float, to_s: float, rate: Callable[[float], int]) -> list[Finding]:
    found: list[Finding] = []
    for span in range(int((to_s - from_s) // SPAN_S)):
        at_s = from_s + span * SPAN_S
        if count := rate(at_s):
            found += volume.see(sent(at_s + 1, count))
    return found


def steady(_at_s: float) -> int:
    return 300


def mondays(at_s: float) -> int:
    """A batch of 50 times as much on Monday from 9 to 10."""
    return 15_000 if 9 * HOUR_S <= (at_s - MONDAY_S) % WEEK_S < 10 * HOUR_S else 300


def test_four_times_as_much_as_ever_is_told_with_both_numbers() -> None:
    volume = Volume(7)
    assert run(volume, MONDAY_S, MONDAY_S + 2 * WEEK_S, steady) == []
    now_s = MONDAY_S + 2 * WEEK_S
    (flood, octets) = [*volume.see(sent(now_s + 1, 30_000)), *volume.see(Tick(at_s=now_s + SPAN_S))]
    assert flood.text.startswith("identity press-21 sent 30,000 messages in 5 minutes, usually about ")
    assert octets.text.startswith("identity press-21 sent 3,000,000 octets in 5 minutes")
    assert flood.score > 50


def test_twice_as_much_is_nothing() -> None:
    volume = Volume(7)
    run(volume, MONDAY_S, MONDAY_S + 2 * WEEK_S, steady)
    assert run(volume, MONDAY_S + 2 * WEEK_S, MONDAY_S + 2 * WEEK_S + DAY_S, lambda _at_s: 600) == []


def test_what_comes_every_monday_is_usual_on_monday_and_on_no_other_day() -> None:
    volume = Volume(7)
    run(volume, MONDAY_S, MONDAY_S + 4 * WEEK_S, mondays)
    week_s = MONDAY_S + 4 * WEEK_S
    assert run(volume, week_s, week_s + DAY_S, mondays) == []
    tuesday_s = week_s + DAY_S
    assert run(volume, tuesday_s, tuesday_s + DAY_S, lambda at_s: mondays(at_s - DAY_S)) != []


def test_before_it_is_known_nothing_is_told() -> None:
    assert run(Volume(7), MONDAY_S, MONDAY_S + 6 * DAY_S, mondays) == []


def test_little_is_nothing_however_much_more_than_nothing_it_is() -> None:
    volume = Volume(7)
    run(volume, MONDAY_S, MONDAY_S + 2 * WEEK_S, lambda _at_s: 1)
    assert run(volume, MONDAY_S + 2 * WEEK_S, MONDAY_S + 2 * WEEK_S + DAY_S, lambda _at_s: 100) == []


def test_it_remembers_over_a_restart_in_a_kilobyte_and_a_half() -> None:
    before = Volume(7)
    run(before, MONDAY_S, MONDAY_S + 2 * WEEK_S, steady)
    kept = dict(before.changed())
    assert len(str(kept["press-21"])) < 1_600
    after = Volume(7)
    after.remember(kept)
    now_s = MONDAY_S + 2 * WEEK_S
    assert [*after.see(sent(now_s + 1, 30_000)), *after.see(Tick(at_s=now_s + SPAN_S))]


def test_it_takes_bounded_memory() -> None:
    volume = Volume(7)
    for number in range(IDENTITIES_MAX + 2):
        assert list(volume.see(sent(MONDAY_S, 1, f"d{number}"))) == []
    assert volume.changed() == {"d0": None, "d1": None}
