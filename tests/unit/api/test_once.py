"""What waits for one answer: taken once, in time, bounded; a flood pushes out its own."""

from datetime import UTC, datetime, timedelta

import pytest

from bartizan.api.once import PER_PLACE_MAX, WAITING_MAX, Once

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(minutes=5)


class Clock:
    """The time, as a test sets it."""

    at = BEGUN

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def once(clock: Clock) -> Once[str]:
    return Once(clock, LIFETIME)


def test_it_is_taken_once_and_in_time(once: Once[str], clock: Clock):
    id_ = once.put("asked", "192.0.2.1")
    assert once.take("x" + id_) is None
    assert once.take(id_) == "asked"
    assert once.take(id_) is None
    late = once.put("asked", "192.0.2.1")
    clock.at += LIFETIME
    assert once.take(late) is None
    assert len(once) == 0


def test_one_place_pushes_out_its_own(once: Once[str]):
    mine = once.put("mine", "192.0.2.1")
    theirs = [once.put(str(number), "192.0.2.2") for number in range(PER_PLACE_MAX + 1)]
    assert once.take(theirs[0]) is None
    assert once.take(theirs[1]) == "1"
    assert once.take(mine) == "mine"


def test_a_network_of_ipv6_is_one_place(once: Once[str]):
    for number in range(PER_PLACE_MAX * 2):
        once.put("x", f"2001:db8::{number:x}")
    assert len(once) == PER_PLACE_MAX


def test_a_flood_from_many_places_pushes_out_its_own_and_has_a_bound(once: Once[str]):
    mine = once.put("mine", "192.0.2.1")
    for place in range(WAITING_MAX // 2):
        for _ in range(3):
            once.put("x", f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}")
    assert len(once) == WAITING_MAX
    assert once.take(mine) == "mine"


def test_what_ended_leaves_nothing_behind(once: Once[str], clock: Clock):
    for place in range(100):
        once.put("x", f"192.0.2.{place}")
    clock.at += LIFETIME
    once.put("y", "198.51.100.1")
    assert (len(once), len(once._places)) == (1, 1)
