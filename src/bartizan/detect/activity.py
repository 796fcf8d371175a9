"""What the engine counts of identities, as signals.

Of each shard it tells `windows`, `fresh`, and `roles`, which are figures alone (`broker.figures`). A window is an array,
for it is most of what is read: the identity, and what it did since the last look, in the order of `_traffic`. What is
fresh is an object.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bartizan.model.signal import Fresh, Signal, Traffic


def signals_of_activity(shards: Sequence[Mapping[str, Any]], at_s: float) -> list[Signal]:
    """The signals of one look, in the order of time: what was counted is of the time of the look."""
    fresh = [_fresh(row) for shard in shards for row in shard["fresh"]]
    fresh.sort(key=lambda signal: signal.at_s)
    # The row of those that there was no room for is nobody's.
    traffic = [_traffic(row, at_s) for shard in shards for row in shard["windows"] if row[0]]
    return [*fresh, *traffic]


def unfit(shards: Sequence[Mapping[str, Any]]) -> int:
    """How much was counted and is of no identity. What is fresh and did not fit comes again."""
    return sum(shard["lost"]["windows"] for shard in shards)


def _traffic(row: Sequence[Any], at_s: float) -> Traffic:
    identity, publishes, octets, size_max, peak, peak_octets, active_s, denied, subscribes, retained, *more = row
    wills, pings, topics = more
    return Traffic(
        at_s=at_s,
        identity=identity,
        publishes=publishes,
        octets=octets,
        size_max=size_max,
        peak_publishes_per_s=peak,
        peak_octets_per_s=peak_octets,
        active_s=active_s,
        denied=denied,
        subscribes=subscribes,
        retained=retained,
        wills=wills,
        pings=pings,
        topics=topics,
    )


def _fresh(row: Mapping[str, Any]) -> Fresh:
    return Fresh(
        at_s=row["at_ms"] / 1000,
        identity=row["identity"],
        client_id=row["client_id"],
        action=row["action"],
        topic=row["topic"],
        rule=row["rule"],
    )
