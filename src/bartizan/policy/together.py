"""Conditions that hold together: whom and what to ask where only two rules at once make a difference.

What one rule permits another may forbid, each under a condition of its own. Whether a new rule changes a
decision is seen where its condition holds, alone or together with that of one other rule, and as few others
as can be. More than two are never needed: a decision is that of one permit, or of one forbid before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import islice, product
from typing import Final, TypeVar

from bartizan.policy.condition import Condition

T = TypeVar("T")

VARIANTS_MAX: Final = 12
"""Ways to meet one condition that are tried."""

LOCAL: Final = "local"
_ELSEWHERE: Final = ("192.0.2.1", "2001:db8:ffff::1", "198.51.100.1", "203.0.113.1", "fe80::1")
"""Addresses that nobody has, or everybody."""


def combined(first: Sequence[Condition], second: Sequence[Condition], most: int) -> tuple[list[Condition], int]:
    """Every condition of the first, alone and together with each of the second where both can hold; each once.

    At most so many, and how many pairs are left that were not looked at.
    """
    found = dict.fromkeys(when for when in first if when)
    left = 0
    for one, other in product(first, second):
        if len(found) >= most:
            left += one != other
        elif when := both(one, other):
            found[when] = None
    return list(found), left


def both(first: Condition, second: Condition) -> Condition | None:
    """A condition that holds only where both do; None if there is no such place."""
    attributes = _attributes(first, second)
    listeners = _common(first.listeners, second.listeners)
    addresses = _networks(first.addresses, second.addresses)
    qos = _common(first.qos, second.qos)
    content_types = _common(first.content_types, second.content_types)
    sizes = _sizes(first, second)
    if attributes is None or listeners is None or addresses is None or qos is None:
        return None
    if (
        content_types is None
        or sizes is None
        or _differ(first.retain, second.retain)
        or _differ(first.utf8, second.utf8)
    ):
        return None
    return Condition(
        attributes=attributes,
        listeners=listeners,
        addresses=addresses,
        # Of a proof of two parts each is a method as well; somebody may be strong in two ways; two windows may be open.
        methods=_common(first.methods, second.methods) or _joined(first.methods, second.methods),
        strengths=_common(first.strengths, second.strengths) or (*first.strengths[:1], *second.strengths[:1]),
        windows=_common(first.windows, second.windows) or (*first.windows[:1], *second.windows[:1]),
        qos=qos,
        retain=second.retain if first.retain is None else first.retain,
        payload_bytes_min=sizes[0],
        payload_bytes_max=sizes[1],
        content_types=content_types,
        utf8=second.utf8 if first.utf8 is None else first.utf8,
    )


def variants(when: Condition) -> Iterator[Condition]:
    """The condition met in each of its ways, the first ones: of each of its lists, one entry."""
    names = [name for name, _ in when.attributes]
    ways = product(
        product(*(values for _, values in when.attributes)),
        _each(when.listeners),
        _each(tuple(address for network in when.addresses for address in _ends(network))),
        _each(when.methods),
        _each_and_all(when.strengths),
        _each_and_all(when.windows),
    )
    for values, listeners, addresses, methods, strengths, windows in islice(ways, VARIANTS_MAX):
        yield replace(
            when,
            attributes=tuple((name, (value,)) for name, value in zip(names, values, strict=True)),
            listeners=listeners,
            addresses=addresses,
            methods=methods,
            strengths=strengths,
            windows=windows,
        )


def of_connections(conditions: Iterable[Condition]) -> list[Condition]:
    """What these ask of connections, each once."""
    return list(dict.fromkeys(when.of_connections for when in conditions if when.of_connections))


def elsewhere(conditions: Sequence[Condition]) -> str | None:
    """An address of which none of these asks; None where nothing is asked of addresses, or everything is."""
    networks = [ip_network(each) for when in conditions for each in when.addresses if each != LOCAL]
    candidates = [ip_address(each) for each in _ELSEWHERE]
    free = (each for each in candidates if not any(each in network for network in networks))
    is_asked = any(when.addresses for when in conditions)
    return next(map(str, free), None) if is_asked else None


def _each(entries: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [(entry,) for entry in entries] or [()]


def _each_and_all(entries: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [*_each(entries), *([entries] if len(entries) > 1 else [])]


def _differ(first: bool | None, second: bool | None) -> bool:  # noqa: FBT001  two of a kind
    return None not in (first, second) and first is not second


def _sizes(first: Condition, second: Condition) -> tuple[int | None, int | None] | None:
    """The bounds of the payload that both ask for; None if there is no such payload."""
    least = [each for each in (first.payload_bytes_min, second.payload_bytes_min) if each is not None]
    most = [each for each in (first.payload_bytes_max, second.payload_bytes_max) if each is not None]
    if least and most and max(least) > min(most):
        return None
    return max(least, default=None), min(most, default=None)


def _common(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...] | None:
    """What both lists allow; an empty one allows everything. None if that is nothing."""
    if not first or not second:
        return first or second
    return tuple(entry for entry in first if entry in second) or None


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Methods of a proof of two parts: each of them is one as well."""
    return tuple(f"{one}+{other}" for one in first[:1] for other in second[:1])


def _networks(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...] | None:
    if not first or not second:
        return first or second
    narrower = (_narrower(one, other) for one in first for other in second)
    return tuple(dict.fromkeys(each for each in narrower if each)) or None


def _narrower(one: str, other: str) -> str | None:
    if LOCAL in (one, other):
        return one if one == other else None
    a, b = ip_network(one), ip_network(other)
    if a.version != b.version or not a.overlaps(b):
        return None
    return one if a.prefixlen >= b.prefixlen else other


def _ends(network: str) -> tuple[str, ...]:
    """The first and the last address of a network: others may have a part of it."""
    if network == LOCAL:
        return (LOCAL,)
    found = ip_network(network)
    return tuple(dict.fromkeys((str(found[0]), str(found[-1]))))


def _attributes(first: Condition, second: Condition) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    found = dict(first.attributes)
    for name, values in second.attributes:
        common = _common(found.get(name, ()), values)
        if common is None:
            return None
        found[name] = common
    return tuple(sorted(found.items()))
