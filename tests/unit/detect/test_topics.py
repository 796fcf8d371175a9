"""A topic that an identity never asked for, and a wider filter than ever: told once, with what was usual before."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bartizan.detect.base import Detector, Remembering
from bartizan.detect.topics import IDENTITIES_MAX, TOPICS_MAX, NewTopics, Widened, width_of
from bartizan.model.finding import Finding
from bartizan.model.signal import Fresh
from tests.unit.detect.days import DAY_S, MONDAY_S, did

NOW_S = MONDAY_S + 20 * DAY_S


def publishes(topic: str, at_s: float = NOW_S, identity: str = "press-21") -> Fresh:
    return did(identity, at_s, "publish", topic)


def subscribes(topic: str, at_s: float = NOW_S, identity: str = "press-21") -> Fresh:
    return did(identity, at_s, "subscribe", topic)


def seen(detector: Detector, *signals: Fresh) -> list[Finding]:
    return [finding for signal in signals for finding in detector.see(signal)]


def learned() -> NewTopics:
    detector = NewTopics(7)
    assert seen(detector, publishes("data/21/oil", MONDAY_S), publishes("data/21/heat", MONDAY_S + DAY_S)) == []
    return detector


def test_a_new_topic_is_told_with_how_long_it_was_not_and_is_usual_then() -> None:
    detector = learned()
    (new,) = seen(detector, publishes("data/22/oil"), publishes("data/22/oil"), publishes("data/21/oil"))
    assert new.text == "identity press-21 published to data/22/oil, which it never did in 20 days"
    assert (new.name, new.score, new.technique) == ("press-21", 40, "T0855")


def test_the_same_topic_by_another_action_is_new() -> None:
    detector = learned()
    (asked,) = seen(detector, subscribes("data/21/oil"))
    assert asked.text == "identity press-21 subscribed to data/21/oil, which it never did in 20 days"
    assert asked.technique == "T0861"
    (left,) = seen(detector, did("press-21", NOW_S + 1, "will", "data/21/oil"))
    assert left.text.startswith("identity press-21 left a Will to data/21/oil, ")


def test_many_new_topics_within_an_hour_are_worse() -> None:
    found = seen(learned(), *(publishes(f"data/{number}/oil", NOW_S + number) for number in range(16)))
    assert len(found) == 16
    assert found[-1].text.endswith("data/15/oil, which it never did in 20 days; 16 new topics within an hour")
    assert (found[0].score, found[-1].score) == (40, 72)


def test_who_does_something_new_every_few_days_is_not_suspected_for_it() -> None:
    detector = NewTopics(7)
    assert seen(detector, *(publishes(f"job/{day}", MONDAY_S + day * DAY_S) for day in range(0, 60, 3))) == []


def test_an_hour_after_the_first_one_the_rest_is_learned() -> None:
    detector = learned()
    assert len(seen(detector, publishes("a"), publishes("b", NOW_S + 3_500), publishes("c", NOW_S + 3_700))) == 2
    assert len(seen(detector, publishes("d", NOW_S + 8 * DAY_S))) == 1


def test_who_uses_more_topics_than_are_remembered_is_at_home_nowhere() -> None:
    detector = NewTopics(7)
    seen(detector, *(publishes(f"t/{number}", MONDAY_S) for number in range(TOPICS_MAX + 1)))
    assert seen(detector, publishes("t/new")) == []
    few = NewTopics(7)
    seen(few, *(publishes(f"t/{number}", MONDAY_S) for number in range(TOPICS_MAX)))
    assert len(seen(few, publishes("t/new"))) == 1


def reports(device: str, code: str, at_s: float = NOW_S, rule: str = "press.own") -> Fresh:
    return replace(publishes(f"alarm/{device}/{code}", at_s, device), rule=rule)


def test_what_two_others_do_by_the_same_rule_in_their_own_place_is_usual() -> None:
    detector = NewTopics(7)
    presses = [f"press-{number:02}" for number in range(1, 5)]
    seen(detector, *(reports(press, "hot", MONDAY_S) for press in presses))
    assert [each.name for each in seen(detector, *(reports(press, "cold") for press in presses))] == presses[:2]
    assert seen(detector, reports("press-01", "dry", NOW_S + 8 * DAY_S)) != []
    # In another's place, or by another rule, it is what nobody does.
    later_s = NOW_S + 20 * DAY_S
    assert seen(detector, replace(reports("press-02", "hot", later_s), identity="press-03", client_id="x")) != []
    assert seen(detector, reports("press-04", "cold", later_s, rule="all.everything")) != []


def test_what_is_usual_of_peers_is_remembered_over_a_restart() -> None:
    before, after = NewTopics(7), NewTopics(7)
    seen(before, *(reports(press, "hot", MONDAY_S) for press in ("press-01", "press-02")))
    seen(before, reports("press-03", "cold", MONDAY_S))
    after.remember(before.changed())
    assert seen(after, reports("press-03", "hot")) == []
    assert len(seen(after, reports("press-02", "cold"))) == 1


def subscriber(topic: str = "cmd/21/#") -> Widened:
    detector = Widened(7)
    assert seen(detector, publishes("data/21/oil", MONDAY_S), subscribes(topic, MONDAY_S + 1)) == []
    return detector


def test_a_wider_filter_than_ever_is_told_with_the_widest_before() -> None:
    (wide,) = seen(subscriber(), subscribes("cmd/+/start"), subscribes("cmd/+/stop"), subscribes("cmd/7/#"))
    assert wide.text == (
        "identity press-21 subscribed to cmd/+/start, wider than ever in 20 days: its first wildcard was at level 3 until now"
    )
    assert (wide.score, wide.technique) == (45, "T0861")


def test_everything_is_worse() -> None:
    for topic in ("#", "+/21"):
        (wide,) = seen(subscriber(), subscribes(topic))
        assert wide.score == 70
    (first,) = seen(subscriber("cmd/21/start"), subscribes("cmd/21/+"))
    assert first.text.endswith(": it used no wildcard until now")


def test_what_is_as_wide_or_no_subscription_is_nothing() -> None:
    assert seen(subscriber(), subscribes("cmd/22/#"), subscribes("cmd/22/+"), publishes("data")) == []


def test_before_it_is_known_a_wide_filter_is_what_it_does() -> None:
    assert seen(subscriber(), subscribes("#", MONDAY_S + 6 * DAY_S), subscribes("#")) == []


@pytest.mark.parametrize("narrow", ["a/b/c", "a/b/+", "a/b/#", "a/+/c", "a/#", "+/b", "#"])
def test_a_wildcard_is_wider_the_earlier_it_stands_and_a_hash_than_a_plus(narrow: str) -> None:
    order = ["a/b/c", "a/b/+", "a/b/#", "a/+/c", "a/#", "+/b", "#"]
    wider = order[order.index(narrow) + 1 :]
    assert all(width_of(each) < width_of(narrow) for each in wider)


MAKERS = (NewTopics, Widened)


@pytest.mark.parametrize("maker", MAKERS)
def test_anonymous_clients_are_nobody(maker: Callable[[int], Any]) -> None:
    detector = maker(1)
    asked = [subscribes("a/b", MONDAY_S, "anonymous"), subscribes("#", NOW_S, "anonymous"), publishes("x", NOW_S, "")]
    assert seen(detector, *asked) == []
    assert detector.changed() == {}


@pytest.mark.parametrize("maker", MAKERS)
def test_it_remembers_over_a_restart_and_writes_what_has_changed(maker: Callable[[int], Any]) -> None:
    assert isinstance(maker(7), Remembering)
    before = maker(7)
    seen(before, subscribes("cmd/21/#", MONDAY_S))
    kept = dict(before.changed())
    assert [name for name in kept if name.endswith("press-21")] == list(kept)
    seen(before, subscribes("cmd/21/#"))
    assert before.changed() == {}
    after = maker(7)
    after.remember(kept)
    assert seen(after, subscribes("cmd/21/#")) == []
    assert len(seen(after, subscribes("cmd/#"))) == 1
    assert [name for name in after.changed() if name.endswith("press-21")] != []


@pytest.mark.parametrize("maker", MAKERS)
def test_it_takes_bounded_memory_and_what_it_forgets_is_forgotten_on_disk(maker: Callable[[int], Any]) -> None:
    detector = maker(7)
    for number in range(IDENTITIES_MAX + 2):
        seen(detector, subscribes("a/#", MONDAY_S, f"d{number}"))
    changed = {name.removeprefix("who "): value for name, value in detector.changed().items()}
    assert (changed["d0"], changed["d1"], len(changed)) == (None, None, IDENTITIES_MAX + 2)


def test_the_topics_of_an_identity_are_remembered_in_little() -> None:
    detector = NewTopics(7)
    seen(detector, *(publishes(f"a/rather/long/topic/of/{number}", MONDAY_S) for number in range(TOPICS_MAX)))
    assert len(str(detector.changed())) < 900
