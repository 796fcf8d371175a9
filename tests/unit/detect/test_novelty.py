"""What is usual is learned for days, remembered, and bounded; what is not is told with what is."""

from typing import Any

from bartizan.detect.novelty import IDENTITIES_MAX, ROAMS_FROM, VALUES_MAX, Novelty
from bartizan.model.finding import Finding
from bartizan.model.signal import Connected
from tests.unit.detect.days import ATTACKER, DAY_S, MONDAY_S, comes

HOUR_S = 3_600.0


def seen(novelty: Novelty, *signals: Connected) -> list[Finding]:
    return [finding for signal in signals for finding in novelty.see(signal)]


def learned(days: int = 10, per_day: int = 8) -> Novelty:
    """A press that connects in the hours of the early shift."""
    novelty = Novelty(7)
    for day in range(days):
        for number in range(per_day):
            assert seen(novelty, comes("press-21", MONDAY_S + day * DAY_S + (6 + number) * HOUR_S)) == []
    return novelty


NOW_S = MONDAY_S + 10 * DAY_S + 9 * HOUR_S


def test_another_network_is_told_with_how_long_it_was_not() -> None:
    (new,) = seen(learned(), comes("press-21", NOW_S, address=ATTACKER))
    assert new.text == (
        "identity press-21 connected from 198.51.100.0/24, never in 10 days and 80 connections; it has 1 usual networks"
    )


def test_another_address_of_a_usual_network_is_not() -> None:
    assert seen(learned(), comes("press-21", NOW_S, address="10.0.3.200")) == []


def test_another_software_is_told() -> None:
    (new,) = seen(learned(), comes("press-21", NOW_S, version="3.1.1", keep_alive_s=10))
    assert "connected as MQTT 3.1.1 over mqtts with Keep Alive 10 s" in new.text


def test_another_hour_is_told_but_not_the_next_one() -> None:
    (new,) = seen(learned(), comes("press-21", NOW_S + 14 * HOUR_S))
    assert "connected at 23:00 to 23:59 UTC" in new.text
    assert seen(learned(), comes("press-21", MONDAY_S + 10 * DAY_S + 14 * HOUR_S)) == []


def test_who_connects_rarely_has_no_hours() -> None:
    assert seen(learned(per_day=3), comes("press-21", NOW_S + 14 * HOUR_S)) == []


def test_before_it_is_known_nothing_is_new() -> None:
    novelty = learned(days=6)
    assert seen(novelty, comes("press-21", MONDAY_S + 6 * DAY_S + 6 * HOUR_S - 1, address=ATTACKER)) == []


def test_what_was_told_is_usual_from_then_on() -> None:
    novelty = learned()
    elsewhere = comes("press-21", NOW_S, address=ATTACKER)
    assert len(seen(novelty, elsewhere, elsewhere)) == 1


def test_who_is_everywhere_is_not_suspected_for_it() -> None:
    novelty = learned()
    told = [
        len(seen(novelty, comes("press-21", NOW_S + number, address=f"203.{number}.113.1")))
        for number in range(2 * ROAMS_FROM)
    ]
    assert told == [1] * (ROAMS_FROM - 1) + [0] * (ROAMS_FROM + 1)


def test_anonymous_clients_are_nobody() -> None:
    novelty = Novelty(1)
    signals = [comes("press-21", MONDAY_S + number * DAY_S, method="anonymous") for number in range(30)]
    assert seen(novelty, *signals, comes("press-21", NOW_S + 40 * DAY_S, method="anonymous", address=ATTACKER)) == []
    assert novelty.changed() == {}


def test_it_remembers_over_a_restart() -> None:
    before = learned()
    kept: dict[str, Any] = dict(before.changed())
    after = Novelty(7)
    after.remember(kept)
    assert len(seen(after, comes("press-21", NOW_S, address=ATTACKER))) == 1
    assert seen(after, comes("press-21", NOW_S)) == []


def test_what_has_not_changed_is_not_written_again() -> None:
    novelty = learned()
    assert set(novelty.changed()) == {"press-21"}
    assert novelty.changed() == {}
    assert seen(novelty, comes("press-21", NOW_S)) == []
    assert novelty.changed() == {}


def test_it_takes_bounded_memory_and_what_it_forgets_is_forgotten_on_disk() -> None:
    novelty = Novelty(7)
    for number in range(IDENTITIES_MAX + 3):
        assert seen(novelty, comes("press-01", MONDAY_S, identity=f"d{number}")) == []
    changed = novelty.changed()
    assert [changed[f"d{number}"] for number in range(3)] == [None, None, None]
    for number in range(3 * VALUES_MAX):
        seen(novelty, comes("press-01", MONDAY_S, identity="d9", address=f"10.{number}.0.1", keep_alive_s=number))
    (kept,) = novelty.changed().values()
    assert (len(kept["networks"]), len(kept["software"])) == (VALUES_MAX, VALUES_MAX)
