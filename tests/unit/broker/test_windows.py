"""A time window that opens or closes is told, by name, and when to look again is known."""

from datetime import UTC, datetime, timedelta

from bartizan.broker.windows import LOOK_INTERVAL_S, WindowWatch
from bartizan.policy import CompiledPolicy, check

TEXT = """
[windows.early]
days = "mon"
from = "06:00"
to = "14:00"
zone = "UTC"
[windows.late]
days = "mon"
from = "14:00"
to = "22:00"
zone = "UTC"
[roles.r]
permit = [{ action = "publish", filter = "a", when = { window = ["early", "late"] } }]
"""
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def note(self, kind: str, /, **fields: object) -> None:
        self.events.append((kind, fields["window"]))


def policy(text: str = TEXT) -> CompiledPolicy:
    compiled = check(text, "p").compiled
    assert compiled is not None
    return compiled


def test_a_window_that_opens_or_closes_is_told_once():
    told, now = Told(), MONDAY + timedelta(hours=5, minutes=59, seconds=30)
    watch, compiled = WindowWatch(told), policy()
    assert 30 < watch.look(compiled, now) < 31
    assert told.events == []
    assert watch.look(policy(), now + timedelta(seconds=30)) == LOOK_INTERVAL_S
    assert watch.look(compiled, now + timedelta(seconds=31)) == LOOK_INTERVAL_S
    assert told.events == [("window_opened", "early")]
    watch.look(compiled, MONDAY + timedelta(hours=14))
    assert told.events[1:] == [("window_closed", "early"), ("window_opened", "late")]


def test_what_another_policy_changes_is_no_window_that_opens():
    told, now = Told(), MONDAY + timedelta(hours=7)
    watch = WindowWatch(told)
    watch.look(policy(TEXT.replace('"mon"', '"tue"')), now)
    watch.look(policy(), now)
    assert watch.look(policy(""), now) == LOOK_INTERVAL_S
    assert told.events == []
