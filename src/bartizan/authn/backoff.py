"""Slows down who guesses passwords, and locks nobody out.

A *place* is an address (of IPv6, a /64); a *network* is what one owner of addresses commands (of IPv4, a /24;
of IPv6, a /64). Failures are counted by network, and by network and name, so that moving to the next address is
no fresh start. But **the wait that follows is counted from the last failure of the same place**: whoever has
not failed himself does not wait.

Who can delay the owner of a name, who comes with the right password?

- A stranger elsewhere, with whatever name: never. Nothing is counted by name alone.
- A stranger at another address of the owner's network: never. His failures are counted, but his are his waits.
- A stranger behind the owner's very address (NAT), which is indistinguishable from the owner. Where the owner has
  proved himself before, the place is *usual* for the name: nothing counts there but failures of this name at this
  place, and the wait stays below `OTHERS_MAX_S`. And a failure never lengthens a wait that is under way: what is
  refused here is not counted, so that there is always an end to it.
- Before a first success from there, the stranger behind the same address can have the owner wait like himself
  for that name, up to `wait_max_s` at a time; for other names, up to `OTHERS_MAX_S`.

Names that do not exist are counted like others: the wait says nothing about them. Everything is bounded; what
was longest unused goes first, and usual places, which only a right password makes, are kept apart from failures.
Nothing is written to disk: a restart forgives all.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from bartizan.config.authenticators import PasswordSettings
from bartizan.model.network import network_of

K = TypeVar("K")
V = TypeVar("V")

ENTRIES_MAX = 65_536
"""Of each kind: networks, names in networks, last failures, usual places."""

OTHERS_MAX_S = 8.0
"""As long as anyone waits for what others may have done."""

PENDING_MAX = 16
"""Guesses at one name from one place that may be under way at once, where that is not usual."""

NAME_CHARS_MAX = 256
"""A longer User Name is no identity's; it is counted by its beginning."""


class TooSoon(Exception):  # noqa: N818  it says what happened
    """The wait is not over yet."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"after wrong passwords: wait {wait_s:.0f} s")
        self.wait_s = wait_s


class _Bounded(OrderedDict[K, V], Generic[K, V]):
    """A table that forgets what was longest unwritten."""

    def put(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > ENTRIES_MAX:
            self.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Failures:
    count: float = 0.0
    at: float = float("-inf")

    def now(self, at: float, forgiven_every_s: float) -> float:
        """How many count at a time."""
        return max(0.0, self.count - (at - self.at) / forgiven_every_s) if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One guess that may be judged; say with one of `Backoff`'s methods how it ended."""

    network: str
    place: str
    name: str
    is_usual: bool


class Backoff:
    """Waits after failures. Use it from one thread."""

    def __init__(self, settings: PasswordSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._networks: _Bounded[str, _Failures] = _Bounded()
        self._names: _Bounded[tuple[str, str], _Failures] = _Bounded()
        self._last: _Bounded[tuple[str, str | None], float] = _Bounded()
        self._usual: _Bounded[tuple[str, str], _Failures] = _Bounded()
        self._pending: dict[tuple[str, str], int] = {}

    def begin(self, address: str, name: str) -> Attempt:
        """Lets a guess be judged, or raises `TooSoon`. Every attempt has to be ended."""
        place, network = self._where(address)
        name = name[:NAME_CHARS_MAX]
        now = self._clock()
        usual = self._usual.get((place, name))
        wait_s = self._wait_where_usual(usual, now) if usual is not None else self._wait(network, place, name, now)
        if wait_s > 0:
            raise TooSoon(wait_s)
        pending = self._pending.get((place, name), 0)
        if usual is None and pending >= PENDING_MAX:
            raise TooSoon(1.0)
        self._pending[place, name] = pending + 1
        return Attempt(network, place, name, usual is not None)

    def succeeded(self, attempt: Attempt) -> None:
        """The password was right: this place is usual for the name from now on."""
        self._end(attempt)
        self._usual.put((attempt.place, attempt.name), _Failures())
        self._names.pop((attempt.network, attempt.name), None)
        self._last.pop((attempt.place, attempt.name), None)

    def failed(self, attempt: Attempt) -> None:
        """The password was wrong."""
        self._end(attempt)
        now = self._clock()
        self._networks.put(attempt.network, self._more(self._networks.get(attempt.network), now))
        self._last.put((attempt.place, None), now)
        key = (attempt.place, attempt.name)
        if attempt.is_usual and key in self._usual:
            self._usual.put(key, self._more(self._usual[key], now))
            return
        self._names.put(
            (attempt.network, attempt.name), self._more(self._names.get((attempt.network, attempt.name)), now)
        )
        self._last.put(key, now)

    def withdrawn(self, attempt: Attempt) -> None:
        """Nobody judged it."""
        self._end(attempt)

    def _end(self, attempt: Attempt) -> None:
        key = (attempt.place, attempt.name)
        left = self._pending.get(key, 0) - 1
        if left > 0:
            self._pending[key] = left
        else:
            self._pending.pop(key, None)

    def _wait_where_usual(self, usual: _Failures, now: float) -> float:
        return usual.at + min(OTHERS_MAX_S, self._delay(usual, self._settings.free_failures, now)) - now

    def _wait(self, network: str, place: str, name: str, now: float) -> float:
        settings = self._settings
        of_name = self._delay(self._names.get((network, name)), settings.free_failures, now)
        of_network = self._delay(self._networks.get(network), settings.free_failures_per_network, now)
        never = float("-inf")
        return max(
            self._last.get((place, name), never) + of_name,
            self._last.get((place, None), never) + min(OTHERS_MAX_S, of_network),
        ) - now  # fmt: skip

    def _delay(self, failures: _Failures | None, free: int, now: float) -> float:
        """One second after the first failure that is not free, twice as long after each further one."""
        over = 0.0 if failures is None else failures.now(now, self._settings.forgiven_every_s) - free
        if over < 0 or failures is None:
            return 0.0
        # The exponent is bounded: a count of thousands must not overflow.
        return min(self._settings.wait_max_s, 2.0 ** min(over, 32.0))

    def _more(self, failures: _Failures | None, now: float) -> _Failures:
        before = 0.0 if failures is None else failures.now(now, self._settings.forgiven_every_s)
        return _Failures(before + 1.0, now)

    def _where(self, address: str) -> tuple[str, str]:
        """Place and network of an address."""
        return network_of(address), network_of(address, self._settings.network_ipv4_bits)
