"""What the Python half measures itself: how long authentications take, and the syncs of the audit; what each role did.

Every label is bounded: listeners and logs are the configuration's, outcomes are few, and of what authenticators of
the operator's own call themselves, and of roles, so many are told apart, and the rest is `other`.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from time import perf_counter
from typing import Any

from bartizan.authn.base import ConnectRequest
from bartizan.broker.authenticate import Desk
from bartizan.broker.ports import Allow, Answer, Proceed, Question
from bartizan.model.reason import ReasonCode

BOUNDS_S: Sequence[float] = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
"""Upper ends of the buckets: from what a look-up costs to what a client waits for at most."""

METHODS_MAX = 32
ROLES_MAX = 128
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram at one moment, as Prometheus has it."""

    buckets: Sequence[tuple[str, float]]
    """Upper end, and how many were not above it."""
    sum: float


class Histogram:
    """How often a time was how long. Any thread may add to it."""

    def __init__(self, bounds: Sequence[float] = BOUNDS_S) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, took_s: float) -> None:
        """Adds one."""
        with self._lock:
            self._counts[bisect_left(self._bounds, took_s)] += 1
            self._sum += took_s

    def read(self) -> Distribution:
        """All of it."""
        with self._lock:
            counts, total = tuple(self._counts), self._sum
        ends = (*(repr(bound) for bound in self._bounds), "+Inf")
        return Distribution(tuple(zip(ends, accumulate(counts), strict=True)), total)


@dataclass(frozen=True, slots=True, order=True)
class Authenticated:
    """What is told apart among the answers of authenticators."""

    listener: str
    method: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RoleActivity:
    """What the clients of a role did since the start."""

    publishes: int = 0
    octets: int = 0
    """Of payloads."""
    denied: int = 0


class ByRole:
    """What clients did by role, as the engine counts it of their activity; of who has several roles, each counts."""

    def __init__(self) -> None:
        self._roles: dict[str, RoleActivity] = {}

    def add(self, shards: Sequence[Mapping[str, Any]]) -> None:
        """What each shard counted since the last time."""
        for shard in shards:
            for name, publishes, octets, denied in shard["roles"]:
                role = name if name in self._roles or len(self._roles) < ROLES_MAX else OTHER
                sum_ = self._roles.get(role, RoleActivity())
                self._roles[role] = RoleActivity(sum_.publishes + publishes, sum_.octets + octets, sum_.denied + denied)

    def read(self) -> Mapping[str, RoleActivity]:
        """All of it, in order of name."""
        return dict(sorted(self._roles.items()))


class Figures:
    """What was measured since the start."""

    def __init__(self) -> None:
        self._authentications: dict[Authenticated, Histogram] = {}
        self._methods: set[str] = set()
        self._roles: Counter[str] = Counter()
        self._syncs: dict[str, Histogram] = {}

    @property
    def authentications(self) -> Mapping[Authenticated, Distribution]:
        """How long answers took."""
        return {of: histogram.read() for of, histogram in sorted(self._authentications.items())}

    @property
    def roles(self) -> Mapping[str, int]:
        """How often a client of each role was let in."""
        return dict(sorted(self._roles.items()))

    @property
    def syncs(self) -> Mapping[str, Distribution]:
        """How long the disk took to take records of each log of the audit."""
        return {log: histogram.read() for log, histogram in sorted(self._syncs.items())}

    def authentications_of(self, outcome: str) -> int:
        """How many ended so."""
        told = self.authentications.items()
        return sum(int(distribution.buckets[-1][1]) for of, distribution in told if of.outcome == outcome)

    def answered(self, request: ConnectRequest, answer: Answer, took_s: float) -> None:
        """An authentication, or a step of one, was answered."""
        of = Authenticated(request.listener, self._known(_method(request, answer)), _outcome(answer))
        self._authentications.setdefault(of, Histogram()).observe(took_s)
        if isinstance(answer, Allow):
            for role in answer.principal.roles:
                self._roles[role if role in self._roles or len(self._roles) < ROLES_MAX else OTHER] += 1

    def syncs_of(self, log: str) -> Callable[[float], None]:
        """Is to be told how long each sync of this log took."""
        return self._syncs.setdefault(log, Histogram()).observe

    def _known(self, method: str) -> str:
        if method not in self._methods and len(self._methods) >= METHODS_MAX:
            return OTHER
        self._methods.add(method)
        return method


def _method(request: ConnectRequest, answer: Answer) -> str:
    """How it was proved; of whom nothing was proved, what was presented, and never a word of the client's own."""
    if isinstance(answer, Allow):
        return answer.principal.method
    if request.authentication_method is not None:
        return "exchange"
    if request.password is not None:
        return "password"
    return "certificate" if request.certificate is not None else "none"


def _outcome(answer: Answer) -> str:
    if isinstance(answer, Allow):
        return "allowed"
    if isinstance(answer, Proceed):
        return "challenged"
    return "unavailable" if answer.reason == ReasonCode.SERVER_UNAVAILABLE else "refused"


class TimedDesk:
    """A desk whose answers are timed."""

    def __init__(self, desk: Desk, figures: Figures) -> None:
        self._desk = desk
        self._figures = figures

    async def answer(self, question: Question) -> Answer:
        """The answer."""
        began_s = perf_counter()
        answer = await self._desk.answer(question)
        self._figures.answered(question.request, answer, perf_counter() - began_s)
        return answer
