"""Counts of the last while: what is older does not count, and there is a bound for everything."""

from bartizan.detect.counting import KEYS_MAX, Counts, Spreads


def test_what_is_older_than_the_span_does_not_count() -> None:
    counts = Counts[str](60)
    assert [counts.add("a", at_s).within for at_s in (0, 10, 50)] == [1, 2, 3]
    assert counts.add("a", 65) == (3, 1)
    assert counts.add("a", 300, 7) == (7, 7)


def test_keys_are_counted_each_by_itself() -> None:
    counts = Counts[str](60)
    counts.add("a", 0, 5)
    assert counts.add("b", 0).within == 1


def test_the_longest_unwritten_key_gives_way() -> None:
    counts = Counts[int](60, keys_max=3)
    for key in (1, 2, 3, 1, 4):
        counts.add(key, 0)
    assert (counts.add(1, 0).within, counts.add(2, 0).within) == (3, 1)
    assert KEYS_MAX <= 100_000


def test_different_values_count_once_each() -> None:
    spreads = Spreads[str](60, each_max=10)
    assert [spreads.add("a", 0, value).within for value in "xyxz"] == [1, 2, 2, 3]
    assert spreads.add("a", 59.9, "x") == (3, 0)
    assert spreads.add("a", 60, "w") == (2, 2)


def test_of_more_values_than_there_is_room_for_so_many_are_known() -> None:
    spreads = Spreads[str](60, each_max=4, keys_max=2)
    assert [spreads.add("a", 0, str(number)).within for number in range(8)][-1] == 4
    spreads.add("b", 0, "x")
    spreads.add("c", 0, "x")
    assert spreads.add("a", 0, "x").within == 1


def test_the_values_of_all_keys_together_are_bounded() -> None:
    spreads = Spreads[int](60, each_max=5, values_max=12)
    for key in range(3):
        for number in range(5):
            spreads.add(key, 0, str(number))
    assert [spreads.add(key, 0, "0").within for key in (2, 1, 0)] == [5, 5, 1]
