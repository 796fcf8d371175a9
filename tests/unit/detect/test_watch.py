"""The same is said once, many of a kind are one, and a detector that fails blinds no other."""

from collections.abc import Iterator

from bartizan.detect.builtin import builtin_detectors
from bartizan.detect.watch import AGAIN_S, BUDGET_S, FINDINGS_PER_DETECTOR_MAX, Watch
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Denied, Signal
from tests.unit.detect.days import denied
from tests.unit.detect.test_detectors import SETTINGS


class Echo:
    """Finds whatever it is shown; `count` is the score."""

    name = "echo"
    wants = (Denied,)

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        assert isinstance(signal, Denied)
        yield Finding(self.name, About.IDENTITY, signal.identity, signal.count, "it was denied", signal.at_s)


class Broken:
    """Fails."""

    name = "broken"
    wants = (Denied,)

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        raise ZeroDivisionError("by zero")


def of(identity: str, at_s: float, score: int = 50) -> Denied:
    return Denied(at_s=at_s, identity=identity, client_id="", address="", action="publish", count=score)


def test_the_same_is_said_again_later_or_when_it_got_worse() -> None:
    watch = Watch([Echo()])
    said = [
        len(watch.look([signal]))
        for signal in (of("a", 0), of("a", 1), of("b", 2), of("a", 3, 59), of("a", 4, 60), of("a", 4 + AGAIN_S, 10))
    ]
    assert said == [1, 0, 1, 0, 1, 1]


def test_many_of_a_kind_are_told_one_by_one_at_first_and_then_by_their_number() -> None:
    watch = Watch([Echo()])
    many = watch.look([of(f"d{number}", 0) for number in range(1_000)])
    assert len(many) == FINDINGS_PER_DETECTOR_MAX
    (rest, last) = watch.look([of("z", BUDGET_S)])
    assert (rest.about, rest.score) == (About.BROKER, 60)
    assert rest.text == "980 more findings of echo within a minute, the last one: it was denied"
    assert last.name == "z"


def test_a_detector_that_fails_is_told_and_blinds_no_other() -> None:
    watch = Watch([Broken(), Echo()])
    assert len(watch.look([of("a", 0), of("b", 0)])) == 2
    assert watch.take_failures() == {"detector broken: ZeroDivisionError: by zero"}
    assert watch.take_failures() == frozenset()


def test_only_detectors_that_learn_for_days_remember() -> None:
    assert [name for name, _ in Watch([*builtin_detectors(SETTINGS), Echo()]).remembering] == [
        "novelty",
        "silent_device",
        "volume",
        "new_topic",
        "widened_subscription",
        "actuator_command",
    ]


def test_a_signal_that_nobody_wants_is_passed_over() -> None:
    assert Watch([]).look([denied("press-01", 0, "x")]) == []
