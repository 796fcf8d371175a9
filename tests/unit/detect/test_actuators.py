"""A command by whom it never came from is told, with who it usually comes from; what many command is everybody's."""

from bartizan.config.detect import DetectSettings
from bartizan.detect.actuators import COMMANDERS_MAX, COMMANDS_MANY, TOPICS_MAX, Actuators
from bartizan.model.finding import Finding
from bartizan.model.signal import Fresh
from tests.unit.detect.days import DAY_S, MONDAY_S, did

NOW_S = MONDAY_S + 20 * DAY_S
LEVELS = DetectSettings().actuator_levels


def sends(identity: str, topic: str, at_s: float = NOW_S, action: str = "publish") -> Fresh:
    return did(identity, at_s, action, topic)


def seen(detector: Actuators, *signals: Fresh) -> list[Finding]:
    return [finding for signal in signals for finding in detector.see(signal)]


def learned() -> Actuators:
    """A SCADA and a panel command one press each."""
    detector = Actuators(7, LEVELS)
    usual = [sends("scada", "cmd/press-01/start", MONDAY_S), sends("panel", "cmd/press-02/start", MONDAY_S)]
    assert seen(detector, *usual) == []
    return detector


def test_who_never_commanded_anything_is_told_with_who_does() -> None:
    (sent,) = seen(learned(), sends("press-21", "cmd/press-01/start"), sends("press-21", "cmd/press-01/start"))
    assert sent.text == "identity press-21 sent a command to cmd/press-01/start, which in 20 days only scada did"
    assert (sent.name, sent.score, sent.technique) == ("press-21", 70, "T0855")


def test_a_topic_that_nobody_commanded_is_told_of_who_never_commanded() -> None:
    (sent,) = seen(learned(), sends("press-21", "line-3/SetPoint/speed"))
    assert sent.text.endswith("sent a command to line-3/SetPoint/speed, and never commanded anything in 20 days")
    assert seen(learned(), sends("scada", "line-3/setpoint/speed")) == []


def test_one_who_commands_elsewhere_is_less_of_a_surprise() -> None:
    (sent,) = seen(learned(), sends("panel", "cmd/press-01/start"))
    assert sent.score == 55


def test_a_will_is_a_command_and_a_subscription_or_another_topic_is_none() -> None:
    assert len(seen(learned(), sends("press-21", "cmd/press-01/start", action="will"))) == 1
    assert seen(learned(), sends("press-21", "cmd/press-01/start", action="subscribe")) == []
    assert seen(learned(), sends("press-21", "data/cmdline"), sends("anonymous", "cmd/press-01/start")) == []


def test_before_it_has_learned_for_days_whoever_commands_is_usual() -> None:
    detector = learned()
    assert seen(detector, sends("late", "cmd/press-01/start", MONDAY_S + 6 * DAY_S)) == []
    assert seen(detector, sends("late", "cmd/press-01/start")) == []


def test_it_learns_from_the_first_thing_that_anybody_does() -> None:
    detector = Actuators(7, LEVELS)
    assert seen(detector, sends("press-21", "data/oil", MONDAY_S)) == []
    assert len(seen(detector, sends("press-21", "cmd/press-01/start"))) == 1


def test_what_many_command_is_everybodys() -> None:
    detector = Actuators(7, LEVELS)
    seen(detector, *(sends(f"panel-{number}", "cmd/light", MONDAY_S) for number in range(COMMANDERS_MAX)))
    assert seen(detector, sends("press-21", "cmd/light")) == []


def test_who_commands_many_commands_anything() -> None:
    detector = learned()
    seen(detector, *(sends("shift", f"cmd/press-{number}/start", MONDAY_S) for number in range(10, 10 + COMMANDS_MANY)))
    assert seen(detector, sends("shift", "cmd/press-01/start")) == []
    after = Actuators(7, LEVELS)
    after.remember(detector.changed())
    assert seen(after, sends("shift", "cmd/press-02/start")) == []


def test_levels_are_a_setting() -> None:
    detector = Actuators(7, ("moves",))
    assert seen(detector, sends("scada", "moves/a", MONDAY_S), sends("press-21", "cmd/press-01/start")) == []
    assert len(seen(detector, sends("press-21", "moves/a"))) == 1


def test_it_remembers_over_a_restart_and_writes_what_has_changed() -> None:
    before = learned()
    kept = dict(before.changed())
    assert before.changed() == {}
    after = Actuators(7, LEVELS)
    after.remember(kept)
    assert seen(after, sends("scada", "cmd/press-01/start")) == []
    assert after.changed() == {}
    assert [each.score for each in seen(after, sends("panel", "cmd/press-01/start"))] == [55]
    assert [each.score for each in seen(after, sends("press-21", "cmd/press-02/start"))] == [70]


def test_it_takes_bounded_memory_and_what_it_forgets_is_forgotten_on_disk() -> None:
    detector = Actuators(7, LEVELS)
    for number in range(TOPICS_MAX + 3):
        seen(detector, sends(f"i{number}", f"cmd/{number}", MONDAY_S))
    changed = detector.changed()
    assert [changed[f"who i{number}"] for number in range(3)] == [None] * 3
    assert sum(value is None for value in changed.values()) == 6
