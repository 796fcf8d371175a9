"""Who sends much more than it usually does at this hour of the week (`baseline`): at once, or at the end of five minutes.

Where many do at the same time it is the plant that does something else, an extra shift for example: that is told once, and
who follows in the next hours is one of them. What is much too much is told of each at once, all the same.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.detect.base import taken
from bartizan.detect.baseline import DAY_S, DOUBLINGS_MIN, SPAN_S, Excess, Usual, hour_of
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Signal, Tick, Traffic

IDENTITIES_MAX = 20_000
"""Of so many identities it is known what is usual; of more, of those that spoke last."""

CROWD_MIN = 10
CROWD_SHARE = 0.05
"""More than so many of all identities at the same time are told as one."""

AGAIN_S = DAY_S / 4
"""What goes on is told again after so long, or when it is four times as much as was told."""

SCORE_MAX = 95
POINTS_PER_DOUBLING = 4
DENIAL_OF_SERVICE = "T0814"


class Volume:
    """Who sends more than usual. Whoever is `anonymous` is many."""

    name = "volume"
    wants = (Traffic, Tick)
    score = 50

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._usual: OrderedDict[str, Usual] = OrderedDict()
        self._waiting: dict[str, Excess] = {}
        """What was found at the end of a span, until the next minute shows who else."""
        self._crowd_ends_s = float("-inf")
        self._changed: set[str] = set()

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        span = int(signal.at_s // SPAN_S)
        if isinstance(signal, Traffic):
            yield from self._count(signal, span)
        elif isinstance(signal, Tick):
            for identity, usual in self._usual.items():
                if usual.span not in {span, -1}:
                    self._close(identity, usual, span)
            yield from self._tell(signal.at_s)

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        return taken(self._changed, self._usual)

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            self._usual[name] = Usual.kept(value)

    def _count(self, signal: Traffic, span: int) -> Iterator[Finding]:
        identity = signal.identity
        if not signal.publishes or identity in {"", "anonymous"}:
            return
        usual = self._usual.get(identity) or self._new(identity, signal.at_s)
        if usual.span != span:
            self._close(identity, usual, span)
        self._usual.move_to_end(identity)
        if not usual.add(signal.publishes, signal.octets, signal.size_max):
            return
        excess = usual.excess(self._days_known, signal.at_s - span * SPAN_S)
        if excess is not None and _is_news(usual, excess, signal.at_s):
            yield self._found(identity, excess, signal.at_s)

    def _new(self, identity: str, at_s: float) -> Usual:
        usual = self._usual[identity] = Usual(at_s)
        self._changed.add(identity)
        if len(self._usual) > IDENTITIES_MAX:
            name, _ = self._usual.popitem(last=False)
            self._changed.add(name)
        return usual

    def _close(self, identity: str, usual: Usual, span: int) -> None:
        """Judges a span that has ended, and begins this one."""
        if usual.span >= 0:
            excess = usual.excess(self._days_known, SPAN_S)
            if excess is not None and _is_news(usual, excess, (usual.span + 1) * SPAN_S):
                self._waiting[identity] = excess
            usual.learn(span, self._days_known)
            if hour_of(usual.span) != hour_of(span):
                # A kilobyte of each, written once an hour.
                self._changed.add(identity)
        usual.begin(span, self._days_known)

    def _tell(self, at_s: float) -> Iterator[Finding]:
        waiting = dict(self._waiting)
        self._waiting.clear()
        if at_s < self._crowd_ends_s:
            return
        if len(waiting) <= max(CROWD_MIN, CROWD_SHARE * len(self._usual)):
            for identity, excess in waiting.items():
                yield self._found(identity, excess, at_s)
            return
        self._crowd_ends_s = at_s + AGAIN_S
        identity, excess = max(waiting.items(), key=lambda each: each[1].over)
        many = f"{len(waiting):,} of {len(self._usual):,} identities sent more than usual in the same 5 minutes"
        yield Finding(
            self.name,
            About.BROKER,
            "",
            self.score,
            f"{many}, most of all {_said(identity, excess)}",
            at_s,
            DENIAL_OF_SERVICE,
        )

    def _found(self, identity: str, excess: Excess, at_s: float) -> Finding:
        score = min(SCORE_MAX, self.score + int(POINTS_PER_DOUBLING * (excess.over - DOUBLINGS_MIN)))
        text = f"identity {_said(identity, excess)}"
        return Finding(self.name, About.IDENTITY, identity, score, text, at_s, DENIAL_OF_SERVICE)


def _is_news(usual: Usual, excess: Excess, at_s: float) -> bool:
    if at_s - usual.told_s < AGAIN_S and excess.over < usual.told_over + DOUBLINGS_MIN:
        return False
    usual.told_s, usual.told_over = at_s, excess.over
    return True


def _said(identity: str, excess: Excess) -> str:
    about = f"{max(0, 2**excess.level - 1):,.0f}"
    if excess.measure == "longest":
        return (
            f"{identity} sent a message of {excess.count:,} octets, its longest in 5 minutes usually have about {about}"
        )
    within = "5 minutes" if excess.within_s >= SPAN_S else f"{excess.within_s:.0f} s"
    return (
        f"{identity} sent {excess.count:,} {excess.measure} in {within}, usually about {about} in 5 minutes at this hour "
        "of the week"
    )
