"""What the engine counts of identities, as signals.

It comes in portions of rows, each a JSON list, which are read one at a time: a row is a few octets there and a thousand
as Python's values. What is fresh are rows of `_fresh`, in the order of time; windows are rows of `_traffic`, the
identity and what it did since the last look. Of each shard there are figures besides, `roles` (`broker.figures`) and
`lost`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bartizan.model.signal import Fresh, Signal, Traffic


@dataclass(frozen=True, slots=True)
class Activity:
    """What identities did since the last look."""

    figures: Sequence[Mapping[str, Any]]
    fresh: Sequence[bytes]
    windows: Sequence[bytes]

    def signals(self, at_s: float) -> Iterator[Signal]:
        """In the order of time: what was counted is of the time of the look."""
        for row in _rows(self.fresh):
            yield _fresh(row)
        for row in _rows(self.windows):
            # The row of those that there was no room for is nobody's.
            if row[0]:
                yield _traffic(row, at_s)

    def unfit(self) -> int:
        """How much was counted and is of no identity. What is fresh and did not fit comes again."""
        return sum(shard["lost"]["windows"] for shard in self.figures)


def _rows(portions: Sequence[bytes]) -> Iterator[Sequence[Any]]:
    for portion in portions:
        yield from json.loads(portion)


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


def _fresh(row: Sequence[Any]) -> Fresh:
    identity, client_id, action, topic, rule, at_ms = row
    return Fresh(at_s=at_ms / 1000, identity=identity, client_id=client_id, action=action, topic=topic, rule=rule)
