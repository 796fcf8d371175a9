"""Who is always there is missed; who is not, or may have come unseen, is not."""

from typing import Any

import pytest

from bartizan.detect.silence import ALWAYS_S, AWAY_LEAST_S, IDENTITIES_MAX, QUIET_LEAST_S, Silence
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Signal, Tick, Visits
from tests.unit.detect.days import DAY_S, MONDAY_S, comes, goes, sent

GONE_S = MONDAY_S + 10 * DAY_S


def seen(silence: Silence, *signals: Signal) -> list[Finding]:
    return [finding for signal in signals for finding in silence.see(signal)]


def known(away_s: float = 30.0) -> Silence:
    """A press that was away so long on each of ten days, and has now gone."""
    silence = Silence(7)
    for day in range(10):
        at_s = MONDAY_S + day * DAY_S
        assert seen(silence, goes("press-21", at_s - away_s), comes("press-21", at_s), Tick(at_s=at_s)) == []
    assert seen(silence, goes("press-21", GONE_S)) == []
    return silence


def test_who_is_always_there_is_missed_once() -> None:
    silence = known()
    assert seen(silence, Tick(at_s=GONE_S + AWAY_LEAST_S)) == []
    (missed,) = seen(silence, Tick(at_s=GONE_S + AWAY_LEAST_S + 1), Tick(at_s=GONE_S + DAY_S))
    assert (missed.about, missed.name) == (About.TARGET, "press-21")
    assert missed.text == "identity press-21 is away for 15 min, never for more than 30 s in 10 days before"


def test_who_was_away_for_an_hour_is_missed_after_two() -> None:
    silence = known(away_s=3_600)
    assert seen(silence, Tick(at_s=GONE_S + 7_200)) == []
    assert len(seen(silence, Tick(at_s=GONE_S + 7_201))) == 1


def test_who_goes_home_at_night_is_never_missed() -> None:
    assert seen(known(away_s=ALWAYS_S + 1), Tick(at_s=GONE_S + 30 * DAY_S)) == []


def test_who_comes_back_is_missed_again_next_time_after_as_long() -> None:
    silence = known()
    assert len(seen(silence, Tick(at_s=GONE_S + DAY_S))) == 1
    later_s = GONE_S + 2 * DAY_S
    assert seen(silence, comes("press-21", later_s), goes("press-21", later_s + 1)) == []
    assert len(seen(silence, Tick(at_s=later_s + 1_000))) == 1


@pytest.mark.parametrize(
    "signals",
    [
        (comes("press-21", GONE_S + 1),),
        (Visits(at_s=GONE_S + 1, address="", count=9),),
        (comes("press-21", GONE_S + 1), goes("press-21", GONE_S + 1, "Session taken over")),
        (comes("press-21", GONE_S + 1, client_id="b"), comes("press-21", GONE_S + 2), goes("press-21", GONE_S + 3)),
    ],
    ids=["came back", "may have come unseen", "took itself over", "another client of it is there"],
)
def test_who_is_there_or_may_be_is_not_missed(signals: tuple[Signal, ...]) -> None:
    assert seen(known(), *signals, Tick(at_s=GONE_S + DAY_S)) == []


def test_before_it_is_known_nobody_is_missed() -> None:
    silence = Silence(7)
    seen(silence, comes("press-21", MONDAY_S), goes("press-21", MONDAY_S + 6 * DAY_S))
    assert seen(silence, Tick(at_s=MONDAY_S + 30 * DAY_S)) == []


def test_who_does_not_come_back_to_a_broker_that_was_down_is_missed_and_its_time_counts_for_nobody() -> None:
    before = known()
    kept: dict[str, Any] = dict(before.changed())
    assert before.changed() == {}
    after = Silence(7)
    after.remember(kept)
    up_s = GONE_S + DAY_S
    assert seen(after, Tick(at_s=up_s), Tick(at_s=up_s + AWAY_LEAST_S)) == []
    assert len(seen(after, Tick(at_s=up_s + AWAY_LEAST_S + 1))) == 1


def test_who_was_there_when_the_broker_ended_and_comes_back_is_not_missed() -> None:
    before = known()
    seen(before, comes("press-21", GONE_S + 60))
    after = Silence(7)
    after.remember(dict(before.changed()))
    up_s = GONE_S + DAY_S
    assert seen(after, Tick(at_s=up_s), comes("press-21", up_s + 1), Tick(at_s=up_s + DAY_S)) == []


def test_it_takes_bounded_memory() -> None:
    silence = Silence(7)
    for number in range(IDENTITIES_MAX + 2):
        seen(silence, comes("press-01", MONDAY_S, identity=f"d{number}"))
    changed = silence.changed()
    assert [changed[f"d{number}"] for number in range(2)] == [None, None]
    assert len(changed) == IDENTITIES_MAX + 2


def talks(silence: Silence, from_s: float, to_s: float, pause_s: float = 600) -> list[Finding]:
    """It says something each ten minutes, and the clock goes on."""
    found: list[Finding] = []
    at_s = from_s
    while at_s < to_s:
        found += seen(silence, sent("press-21", at_s, 1))
        found += [each for minute in range(int(pause_s // 60)) for each in silence.see(Tick(at_s=at_s + 60 * minute))]
        at_s += pause_s
    return found


def minutes(silence: Silence, from_s: float, count: int) -> list[Finding]:
    return [each for minute in range(count) for each in silence.see(Tick(at_s=from_s + 60 * minute))]


def talker(pause_s: float = 600) -> Silence:
    silence = Silence(7)
    assert seen(silence, comes("press-21", MONDAY_S)) == []
    assert talks(silence, MONDAY_S, GONE_S, pause_s) == []
    return silence


def test_who_always_talks_and_stays_connected_without_a_word_is_told_once() -> None:
    silence = talker()
    (quiet,) = minutes(silence, GONE_S, 600)
    assert quiet.at_s == GONE_S + QUIET_LEAST_S - 600 + 60
    assert (quiet.about, quiet.name) == (About.TARGET, "press-21")
    assert quiet.text == (
        "identity press-21 is connected and says nothing for 31 min, never for more than 10 min in 9 days before"
    )
    assert talks(silence, GONE_S + 36_000, GONE_S + 40_000) == []
    assert len(minutes(silence, GONE_S + 40_000, 100)) == 1


def test_who_rests_for_an_hour_each_day_is_told_after_two() -> None:
    silence = talker(pause_s=3_600)
    (quiet,) = minutes(silence, GONE_S, 300)
    assert quiet.at_s == pytest.approx(GONE_S - 3_600 + 7_200 + 60)


def test_who_rests_at_night_only_listens_or_is_away_is_not_asked_to_talk() -> None:
    assert minutes(talker(pause_s=ALWAYS_S + 600), GONE_S, 2_000) == []
    silence = Silence(7)
    seen(silence, comes("press-21", MONDAY_S), sent("press-21", MONDAY_S, 0, pings=3))
    assert minutes(silence, MONDAY_S, 12_000) == []
    silence = talker()
    seen(silence, goes("press-21", GONE_S))
    assert [each.text for each in minutes(silence, GONE_S, 600) if "says nothing" in each.text] == []


def test_a_clock_that_stood_still_says_nothing_of_anybody() -> None:
    silence = talker()
    assert minutes(silence, GONE_S + DAY_S, 600) == []


def test_what_it_says_is_known_over_a_restart_and_who_comes_anew_has_time_to_say_it() -> None:
    after = Silence(7)
    after.remember(talker().changed())
    seen(after, comes("press-21", GONE_S))
    assert minutes(after, GONE_S, 600) == []
    assert seen(after, sent("press-21", GONE_S + 36_000, 1)) == []
    assert len(minutes(after, GONE_S + 36_000, 60)) == 1
