"""Small things between the API and the view."""

from fnmatch import fnmatchcase

import pytest

from bartizan.cli.live.source import literally, numbers_of
from bartizan.cli.watch import pause_s

EXPOSITION = """\
# HELP bartizan_denied_total Engine: denied.
# TYPE bartizan_denied_total counter
bartizan_denied_total 12.0
bartizan_limits_met_total{limit="clients_max"} 3.0
bartizan_clients_connected 2.0
broker_uptime 40
"""


def test_metrics_without_labels_are_read_and_nothing_else():
    assert numbers_of(EXPOSITION) == {"bartizan_denied_total": 12.0, "bartizan_clients_connected": 2.0}


@pytest.mark.parametrize("name", ["press-01", "a*b", "what?", "[x]", "[!a]"])
def test_a_name_with_marks_of_a_pattern_is_found_and_no_other(name: str):
    assert fnmatchcase(name, literally(name))
    assert not fnmatchcase(name.replace("*", "other").replace("?", "!").replace("[", "(") + "x", literally(name))


def test_looking_takes_a_tenth_of_the_time_at_most():
    assert pause_s(0.02) == 1.0
    assert pause_s(0.5) == 5.0
