"""What the engine counts becomes signals: each number under its name, in the order of time, and nobody's left out."""

from typing import Any

from bartizan.detect.activity import signals_of_activity, unfit
from bartizan.model.signal import Fresh, Traffic

NOW_S = 1_800_000_000.0


def shard(**tables: Any) -> dict[str, Any]:
    return {"windows": [], "fresh": [], "lost": {"windows": 0, "fresh": 0}} | tables


def fresh(at_ms: int, topic: str) -> dict[str, Any]:
    who = {"identity": "press-01", "client_id": "press-01-b", "rule": "press.own"}
    return {**who, "action": "publish", "topic": topic, "at_ms": at_ms}


def test_every_number_of_a_window_has_its_name() -> None:
    row = ["press-01", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 2**64 - 1]
    (traffic,) = signals_of_activity([shard(windows=[row])], NOW_S)
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


def test_signals_of_all_shards_are_in_the_order_of_time() -> None:
    now_ms = int(NOW_S * 1000)
    row = ["press-02", *[0] * 12]
    shards = [shard(fresh=[fresh(now_ms - 1, "b")], windows=[row]), shard(fresh=[fresh(now_ms - 1_500, "a")])]
    first, second, last = signals_of_activity(shards, NOW_S)
    assert isinstance(first, Fresh)
    assert isinstance(second, Fresh)
    who = (first.identity, first.client_id, first.action, first.topic, first.rule)
    assert (who, first.at_s) == (("press-01", "press-01-b", "publish", "a", "press.own"), NOW_S - 1.5)
    assert (second.topic, last.at_s) == ("b", NOW_S)


def test_what_is_nobodys_is_no_signal_and_is_counted() -> None:
    shards = [shard(windows=[["", *[9] * 12]], lost={"windows": 3, "fresh": 5}), shard(lost={"windows": 1, "fresh": 0})]
    assert signals_of_activity(shards, NOW_S) == []
    assert unfit(shards) == 4
