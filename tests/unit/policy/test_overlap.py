"""What filters have in common is what the engine says that both match."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy.compiled import filter_covers
from bartizan.policy.overlap import Filters, meet
from tests.unit.policy.strategies import asked_filters, names


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        ("a/+", "+/b", "a/b"),
        ("a/#", "a", "a"),
        ("a/#", "+", "a"),
        ("a/#", "a/b/+", "a/b/+"),
        ("#", "+/#", "+/#"),
        ("a/+/#", "a/b", "a/b"),
        ("a/b", "a/c", None),
        ("a/b", "a", None),
        ("#", "$SYS/#", None),
        ("$SYS/+", "+/x", None),
        ("$SYS/+", "$SYS/#", "$SYS/+"),
    ],
)
def test_two_filters_meet_in_one(a, b, both):
    assert meet(a, b) == meet(b, a) == both


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_what_both_match_is_what_their_meeting_matches(random):
    topics = names(random, 60)
    filters = asked_filters(random, 8)
    for a in filters:
        for b in filters:
            both = meet(a, b)
            for topic in topics:
                matches = filter_covers(a, topic) and filter_covers(b, topic)
                assert matches == (both is not None and filter_covers(both, topic)), (a, b, both, topic)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_those_that_meet_are_found_among_many(random):
    filters = asked_filters(random, 30)
    found = Filters(filters)
    for asked in asked_filters(random, 10):
        assert found.meeting(asked) == [at for at, each in enumerate(filters) if meet(asked, each) is not None], asked
