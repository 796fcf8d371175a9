"""Much more than usual at this hour of the week is told; what comes every Monday is not, and what all do is told once."""

from collections.abc import Callable

from bartizan.detect.volume import AGAIN_S, IDENTITIES_MAX, Volume
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Tick, Traffic
from tests.unit.detect.days import DAY_S, MONDAY_S

HOUR_S = 3_600.0
WEEK_S = 7 * DAY_S
SPAN_S = 300.0
NOW_S = MONDAY_S + 2 * WEEK_S
"""When two weeks are known."""


def sent(at_s: float, publishes: int, identity: str = "press-21", octets: int = 0, longest: int = 0) -> Traffic:
    return Traffic(
        at_s=at_s, identity=identity, publishes=publishes, octets=octets or 100 * publishes, size_max=longest or 100
    )


def run(
    volume: Volume, from_s: float, to_s: float, rate: Callable[[float], int], identity: str = "press-21"
) -> list[Finding]:
    found: list[Finding] = []
    for span in range(int((to_s - from_s) // SPAN_S)):
        at_s = from_s + span * SPAN_S
        if count := rate(at_s):
            found += volume.see(sent(at_s + 1, count, identity))
        found += volume.see(Tick(at_s=at_s + 60))
    return found


def learned(rate: Callable[[float], int], weeks: int = 2) -> Volume:
    volume = Volume(7)
    assert run(volume, NOW_S - weeks * WEEK_S, NOW_S, rate) == []
    return volume


def steady(_at_s: float) -> int:
    return 300


def mondays(at_s: float) -> int:
    """A batch of 50 times as much on Monday from 9 to 10."""
    return 15_000 if 9 * HOUR_S <= (at_s - MONDAY_S) % WEEK_S < 10 * HOUR_S else 300


def test_five_times_as_much_as_ever_is_told_at_the_end_of_five_minutes_with_both_numbers() -> None:
    volume = learned(steady)
    assert [*volume.see(sent(NOW_S + 1, 1_500)), *volume.see(Tick(at_s=NOW_S + SPAN_S - 1))] == []
    (flood,) = volume.see(Tick(at_s=NOW_S + SPAN_S))
    assert flood.text == (
        "identity press-21 sent 1,500 messages in 5 minutes, usually about 300 in 5 minutes at this hour of the week"
    )
    assert (flood.about, flood.name, flood.score) == (About.IDENTITY, "press-21", 51)


def test_a_hundred_times_as_much_is_told_as_soon_as_it_is_there_and_again_when_it_is_four_times_that() -> None:
    volume = learned(steady)
    found: list[Finding] = []
    for second in range(2, 300, 2):
        found += volume.see(sent(NOW_S + second, 200))
    found += volume.see(Tick(at_s=NOW_S + SPAN_S))
    flood, worse = found
    assert flood.at_s < NOW_S + 60
    assert flood.text.startswith("identity press-21 sent 480,000 octets in 48 s, usually about ")
    assert worse.score > flood.score


def test_what_goes_on_is_told_again_after_hours_or_when_it_is_much_more() -> None:
    volume = learned(steady)
    (first,) = run(volume, NOW_S, NOW_S + 2 * HOUR_S, lambda _at_s: 1_800)
    (worse,) = run(volume, NOW_S + 2 * HOUR_S, NOW_S + 3 * HOUR_S, lambda _at_s: 12_000)
    assert worse.score > first.score
    assert len(run(volume, NOW_S + 3 * HOUR_S, NOW_S + 3 * HOUR_S + AGAIN_S, lambda _at_s: 12_000)) == 1


def test_few_messages_that_are_long_are_told_by_their_octets_or_by_their_length() -> None:
    volume = learned(steady)
    (octets,) = [*volume.see(sent(NOW_S, 300, octets=400_000)), *volume.see(Tick(at_s=NOW_S + SPAN_S))]
    assert octets.text.startswith("identity press-21 sent 400,000 octets in 5 minutes")
    volume = learned(steady)
    (longest,) = volume.see(sent(NOW_S, 1, longest=60_000))
    assert longest.text == (
        "identity press-21 sent a message of 60,000 octets, its longest in 5 minutes usually have about 100"
    )


def test_twice_as_much_is_nothing() -> None:
    volume = learned(steady)
    assert run(volume, NOW_S, NOW_S + DAY_S, lambda _at_s: 600) == []


def test_what_comes_every_monday_is_usual_on_monday_and_on_no_other_day() -> None:
    volume = Volume(7)
    run(volume, NOW_S - 4 * WEEK_S, NOW_S, mondays)
    assert run(volume, NOW_S, NOW_S + DAY_S, mondays) == []
    tuesday_s = NOW_S + DAY_S
    assert run(volume, tuesday_s, tuesday_s + DAY_S, lambda at_s: mondays(at_s - DAY_S)) != []


def batch(at_s: float) -> int:
    """A hundred times as much in five minutes of each Monday."""
    return 30_000 if (at_s - MONDAY_S) % WEEK_S == 9 * HOUR_S + SPAN_S else 300


def test_a_batch_of_five_minutes_each_monday_is_usual_a_little_earlier_too_and_on_tuesday_is_not() -> None:
    volume = learned(batch, weeks=3)
    assert run(volume, NOW_S, NOW_S + DAY_S, lambda at_s: batch(at_s + HOUR_S)) == []
    assert len(run(volume, NOW_S + DAY_S, NOW_S + 2 * DAY_S, lambda at_s: batch(at_s - DAY_S))) == 1


def test_neither_a_day_of_standstill_nor_of_flood_becomes_usual() -> None:
    for count in (0, 30_000):
        volume = learned(steady, weeks=3)
        run(volume, NOW_S, NOW_S + DAY_S, lambda _at_s, count=count: count)
        next_s = NOW_S + WEEK_S
        assert run(volume, NOW_S + DAY_S, next_s + 8 * HOUR_S, steady) == []
        assert [*volume.see(sent(next_s + 8 * HOUR_S, 30_000)), *volume.see(Tick(at_s=next_s + 9 * HOUR_S))]


def test_what_many_do_at_the_same_time_is_told_once() -> None:
    volume = Volume(1)
    devices = [f"press-{number:02}" for number in range(30)]
    for span in range(2 * 288, 0, -1):
        for device in devices:
            assert list(volume.see(sent(NOW_S - span * SPAN_S, 300, device))) == []
        assert list(volume.see(Tick(at_s=NOW_S - span * SPAN_S + 60))) == []
    found = [finding for device in devices[:20] for finding in volume.see(sent(NOW_S + 1, 1_500, device))]
    assert found == []
    (shift,) = volume.see(Tick(at_s=NOW_S + SPAN_S))
    assert (shift.about, shift.name) == (About.BROKER, "")
    assert shift.text.startswith("20 of 30 identities sent more than usual in the same 5 minutes, most of all press-")
    # Who follows is one of them; a flood is a flood.
    assert list(volume.see(sent(NOW_S + SPAN_S + 1, 1_500, "press-25"))) == []
    assert list(volume.see(Tick(at_s=NOW_S + 2 * SPAN_S))) == []
    (flood,) = volume.see(sent(NOW_S + 2 * SPAN_S + 1, 100_000, "press-26"))
    assert flood.name == "press-26"


def test_before_it_is_known_nothing_is_told() -> None:
    assert run(Volume(7), MONDAY_S, MONDAY_S + 6 * DAY_S, mondays) == []


def test_little_is_nothing_however_much_more_than_nothing_it_is() -> None:
    volume = learned(lambda _at_s: 1)
    assert run(volume, NOW_S, NOW_S + DAY_S, lambda _at_s: 100) == []


def test_it_remembers_over_a_restart_in_four_kilobytes_that_are_written_once_an_hour() -> None:
    before = learned(steady)
    kept = dict(before.changed())
    assert len(str(kept["press-21"])) < 4_000
    run(before, NOW_S, NOW_S + HOUR_S - SPAN_S, steady)
    before.changed()
    run(before, NOW_S + HOUR_S, NOW_S + 2 * HOUR_S - 2 * SPAN_S, steady)
    before.changed()
    run(before, NOW_S + 2 * HOUR_S - 2 * SPAN_S, NOW_S + 2 * HOUR_S, steady)
    assert before.changed() == {}
    after = Volume(7)
    after.remember(kept)
    assert [*after.see(sent(NOW_S + 1, 30_000)), *after.see(Tick(at_s=NOW_S + SPAN_S))]


def test_it_takes_bounded_memory() -> None:
    volume = Volume(7)
    for number in range(IDENTITIES_MAX + 2):
        assert list(volume.see(sent(MONDAY_S, 1, f"d{number}"))) == []
    changed = volume.changed()
    assert len(changed) == IDENTITIES_MAX + 2
    assert (changed["d0"], changed["d1"]) == (None, None)
