"""What the engine counts becomes signals: each number under its name, in the order of time, and nobody's left out."""

import json
from typing import Any

from bartizan.detect.activity import Activity
from bartizan.model.signal import Fresh, Traffic

NOW_S = 1_800_000_000.0
NOW_MS = int(NOW_S * 1000)


def portion(*rows: list[Any]) -> bytes:
    return json.dumps(rows).encode()


def fresh(at_ms: int, topic: str) -> list[Any]:
    return ["press-01", "press-01-b", "publish", topic, "press.own", at_ms]


def test_every_number_of_a_window_has_its_name() -> None:
    row = ["press-01", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 2**64 - 1]
    (traffic,) = Activity([], [], [portion(row)]).signals(NOW_S)
    assert traffic == Traffic(
        at_s=NOW_S,
        identity="press-01",
        publishes=1,
        octets=2,
        size_max=3,
        peak_publishes_per_s=4,
        peak_octets_per_s=5,
        active_s=6,
        denied=7,
        subscribes=8,
        retained=9,
        wills=10,
        pings=11,
        topics=2**64 - 1,
    )


def test_signals_of_all_portions_are_in_the_order_of_time() -> None:
    portions = [portion(fresh(NOW_MS - 1_500, "a"), fresh(NOW_MS - 2, "b")), portion(fresh(NOW_MS - 1, "c"))]
    windows = [portion(["press-02", *[0] * 12])]
    first, *others, last = Activity([], portions, windows).signals(NOW_S)
    assert first == Fresh(
        at_s=NOW_S - 1.5,
        identity="press-01",
        client_id="press-01-b",
        action="publish",
        topic="a",
        rule="press.own",
    )
    assert [each.topic for each in others if isinstance(each, Fresh)] == ["b", "c"]
    assert (type(last), last.at_s) == (Traffic, NOW_S)


def test_what_is_nobodys_is_no_signal_and_is_counted() -> None:
    figures = [{"lost": {"windows": 3, "fresh": 5}}, {"lost": {"windows": 1, "fresh": 0}}]
    activity = Activity(figures, [], [portion(["", *[9] * 12])])
    assert list(activity.signals(NOW_S)) == []
    assert activity.unfit() == 4
