"""How many, and how many different ones, in the last while: exact to a tenth of it, and bounded.

What was longest unwritten gives way. Whoever commands more addresses than there is room for can push others out,
and is a flood by then, which has a detector of its own.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

KEYS_MAX = 10_000
"""Of one table: identities, addresses."""

VALUES_MAX = 500_000
"""Of one table of different values, those of all its keys together."""

SLICES = 10
"""A span is as long as so many of its slices, and moves on by one."""

LATEST_SLICES = 2


class Lately(NamedTuple):
    """How many there were, this one included."""

    within: int
    """In the whole span."""
    latest: int
    """In the last fifth of it: whether it goes on. 0 where different ones count, and this one was there already."""


@dataclass(slots=True)
class _Slices:
    counts: OrderedDict[int, int] = field(default_factory=OrderedDict)

    def add(self, at: int, count: int) -> Lately:
        """How many there are in the span that ends with this slice."""
        self.counts[at] = self.counts.get(at, 0) + count
        for old in [slice_ for slice_ in self.counts if slice_ <= at - SLICES]:
            del self.counts[old]
        latest = sum(self.counts.get(at - back, 0) for back in range(LATEST_SLICES))
        return Lately(sum(self.counts.values()), latest)


class Counts(Generic[K]):
    """How many of each key within a span."""

    def __init__(self, within_s: float, keys_max: int = KEYS_MAX) -> None:
        self._slice_s = within_s / SLICES
        self._keys_max = keys_max
        self._slices: OrderedDict[K, _Slices] = OrderedDict()

    def add(self, key: K, at_s: float, count: int = 1) -> Lately:
        """Counts so many more; how many it were within the span."""
        slices = self._slices.setdefault(key, _Slices())
        self._slices.move_to_end(key)
        if len(self._slices) > self._keys_max:
            self._slices.popitem(last=False)
        return slices.add(int(at_s // self._slice_s), count)


class Spreads(Generic[K]):
    """How many different values of each key within a span; of more than `each_max`, so many."""

    def __init__(self, within_s: float, each_max: int, keys_max: int = KEYS_MAX, values_max: int = VALUES_MAX) -> None:
        self._within_s = within_s
        self._each_max = min(each_max, values_max)
        self._keys_max = keys_max
        self._values_max = values_max
        self._held = 0
        self._values: OrderedDict[K, OrderedDict[int, float]] = OrderedDict()

    def add(self, key: K, at_s: float, value: str) -> Lately:
        """Notes a value; how many different ones there were within the span."""
        values = self._values.setdefault(key, OrderedDict())
        self._values.move_to_end(key)
        before, is_new = len(values), hash(value) not in values
        # What peers chose may be long: that it is the same again is all that counts, and the hash is keyed.
        values[hash(value)] = at_s
        values.move_to_end(hash(value))
        while len(values) > self._each_max or values[next(iter(values))] <= at_s - self._within_s:
            values.popitem(last=False)
        self._held += len(values) - before
        while len(self._values) > self._keys_max or self._held > self._values_max:
            _, gone = self._values.popitem(last=False)
            self._held -= len(gone)
        latest_from_s = at_s - self._within_s * LATEST_SLICES / SLICES
        latest = sum(1 for _ in takewhile(lambda seen_s: seen_s > latest_from_s, reversed(values.values())))
        return Lately(len(values), latest if is_new else 0)
