"""Topic Filters as sets: what two have in common, and which of many meet one.

Nothing is decided here. Lint, diff and docs find what to ask the engine about: a rule can differ from
another only where their filters meet.
"""

from collections.abc import Iterator, Sequence

ONE, MANY = "+", "#"


def meet(a: str, b: str) -> str | None:
    """The filter of all topics that both match; None if there is no such topic."""
    if (a[0] in ONE + MANY and b[0] == "$") or (b[0] in ONE + MANY and a[0] == "$"):
        # A wildcard at the first level never reaches topics that begin with $ ([MQTT-4.7.2-1]).
        return None
    levels = _meet(a.split("/"), b.split("/"))
    # The empty text, which `/#` and `+` have in common by their levels, is no topic ([MQTT-4.7.3-1]).
    return "/".join(levels or ()) or None


def _meet(a: Sequence[str], b: Sequence[str]) -> list[str] | None:
    found: list[str] = []
    for at in range(max(len(a), len(b)) + 1):
        mine, other = a[at : at + 1], b[at : at + 1]
        # A # is everything below and the level above, so it may also stand for nothing.
        if mine == [MANY]:
            return [*found, *b[at:]]
        if other == [MANY]:
            return [*found, *a[at:]]
        if not mine and not other:
            return found
        if not mine or not other:
            return None
        if mine == [ONE]:
            found += other
        elif other in ([ONE], mine):
            found += mine
        else:
            return None
    return found


class Filters:
    """Many filters, of which those that meet one are found without looking at all of them."""

    def __init__(self, filters: Sequence[str]) -> None:
        self._filters = filters
        self._root = _Node()
        for number, filter in enumerate(filters):
            node = self._root
            for level in filter.split("/"):
                node = node.below.setdefault(level, _Node())
            node.numbers.append(number)

    def meeting(self, filter: str) -> list[int]:
        """The numbers of those that have a topic in common with this one, in order."""
        near = set(_walk(self._root, filter.split("/"), 0))
        return sorted(number for number in near if meet(filter, self._filters[number]) is not None)


class _Node:
    __slots__ = ("below", "numbers")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.numbers: list[int] = []


def _walk(node: _Node, levels: Sequence[str], at: int) -> Iterator[int]:
    if MANY in node.below:
        yield from node.below[MANY].numbers
    if at == len(levels):
        yield from node.numbers
    elif levels[at] == MANY:
        yield from _all(node)
    elif levels[at] == ONE:
        for below in node.below.values():
            yield from _walk(below, levels, at + 1)
    else:
        for level in (levels[at], ONE):
            if level in node.below:
                yield from _walk(node.below[level], levels, at + 1)


def _all(node: _Node) -> Iterator[int]:
    yield from node.numbers
    for below in node.below.values():
        yield from _all(below)
