"""Topics are parsed by the engine; a bad one raises the house's error."""

import pytest

from bartizan.errors import InvalidValue
from bartizan.model.topics import TopicFilter, TopicName


def test_a_topic_name_is_itself():
    assert TopicName.parse("data/chicago/x") == "data/chicago/x"


@pytest.mark.parametrize("text", ["", "a/+", "a/#", "a\0"])
def test_a_bad_topic_name_is_refused(text):
    with pytest.raises(InvalidValue, match="is no Topic Name"):
        TopicName.parse(text)


@pytest.mark.parametrize("text", ["", "a+", "a/#/b", "#a"])
def test_a_bad_topic_filter_is_refused(text):
    with pytest.raises(InvalidValue, match="is no Topic Filter"):
        TopicFilter.parse(text)


def test_matching_and_covering_are_the_engines():
    wide, narrow = TopicFilter.parse("a/#"), TopicFilter.parse("a/+/c")
    assert wide.matches(TopicName.parse("a/b"))
    assert not narrow.matches(TopicName.parse("a/b"))
    assert wide.covers(narrow)
    assert not narrow.covers(wide)
    assert not TopicFilter.parse("#").matches(TopicName.parse("$SYS/x"))
