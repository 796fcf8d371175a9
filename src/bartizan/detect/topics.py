"""What an identity never asked for, and is granted: another topic, or a wider filter than ever.

Of each identity the topics are remembered as hashes, so many at most; who has more of them is at home nowhere, and not
suspected for another one. What is told is usual from then on, and what others do by the same rule is usual for all: the
same topic, with the name of each in its place.
"""

from array import array
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import log2
from typing import Any, Self

from bartizan.detect.base import taken
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Fresh, Signal

IDENTITIES_MAX = 20_000
"""Of so many identities it is known what they ask for; of more, of those that asked for something last."""

TOPICS_MAX = 64
"""Who has used more topics is at home nowhere."""

HASH_BYTES = 8
DAY_S = 86_400.0
EPISODE_S = 3_600.0
"""What is new within so long after it began is told together, by its number."""

PEERS_MIN = 2
"""What so many others do by the same rule is usual."""

SHAPES_MAX = 20_000
"""Topics of peers that are told apart; the longest unused give way."""

POINTS_PER_DOUBLING = 8
SCORE_MAX = 80

NO_WILDCARD = 1_000
"""As narrow as no wildcard is."""

EVERYTHING = 1
"""A filter as wide as this names no first level."""

UNAUTHORIZED_COMMAND_MESSAGE = "T0855"
POINT_AND_TAG_IDENTIFICATION = "T0861"

_WHO, _SHAPE = "who ", "shape "
"""How what is remembered is named: an identity, the hash of what peers do."""

_DID: Mapping[str, str] = {"publish": "published to", "subscribe": "subscribed to", "will": "left a Will to"}


@dataclass(slots=True)
class _Topics:
    """What one identity has asked for."""

    since_s: float
    grown_s: float
    """When it asked for something new last."""
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    is_everywhere: bool = False
    began_s: float = float("-inf")
    news: int = 0

    @classmethod
    def kept(cls, value: Mapping[str, Any]) -> Self:
        hashes = array("Q")
        hashes.frombytes(b64decode(value["topics"]))
        return cls(float(value["since_s"]), float(value["grown_s"]), hashes, bool(value["is_everywhere"]))

    def as_json(self) -> dict[str, object]:
        return {
            "since_s": self.since_s,
            "grown_s": self.grown_s,
            "topics": b64encode(self.hashes.tobytes()).decode(),
            "is_everywhere": self.is_everywhere,
        }

    def learn(self, topic: int, at_s: float) -> None:
        """It has used this one."""
        self.grown_s = at_s
        self.hashes.append(topic)
        if len(self.hashes) > TOPICS_MAX:
            self.hashes, self.is_everywhere = array("Q"), True


class NewTopics:
    """Who asks for a topic that it never asked for, after days in which it asked for nothing new."""

    name = "new_topic"
    wants = (Fresh,)
    score = 40

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._known: OrderedDict[str, _Topics] = OrderedDict()
        self._shapes: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        """Who has used a topic of a shape, by the hash of it: as many of them as make it usual."""
        self._changed: set[str] = set()
        """Names of what is remembered."""

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if not isinstance(signal, Fresh) or signal.identity in {"", "anonymous"}:
            return
        known = self._of(signal.identity, signal.at_s)
        topic = hash_of(signal.action, signal.topic)
        if self._is_usual_of_peers(signal) or known.is_everywhere or topic in known.hashes:
            return
        if signal.at_s - known.grown_s >= self._days_known * DAY_S:
            known.began_s, known.news = signal.at_s, 0
        if signal.at_s - known.began_s <= EPISODE_S:
            known.news += 1
            yield self._found(signal, known)
        known.learn(topic, signal.at_s)
        self._changed.add(_WHO + signal.identity)

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        kept = {name: self._kept(name) for name in self._changed}
        self._changed.clear()
        return kept

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            if name.startswith(_WHO):
                self._known[name.removeprefix(_WHO)] = _Topics.kept(value)
            else:
                self._shapes[name.removeprefix(_SHAPE)] = tuple(str(each) for each in value)

    def _kept(self, name: str) -> object:
        if name.startswith(_WHO):
            known = self._known.get(name.removeprefix(_WHO))
            return None if known is None else known.as_json()
        return self._shapes.get(name.removeprefix(_SHAPE))

    def _of(self, identity: str, at_s: float) -> _Topics:
        known = self._known.get(identity)
        if known is None:
            known = self._known[identity] = _Topics(at_s, at_s)
            self._changed.add(_WHO + identity)
        self._known.move_to_end(identity)
        if len(self._known) > IDENTITIES_MAX:
            name, _ = self._known.popitem(last=False)
            self._changed.add(_WHO + name)
        return known

    def _is_usual_of_peers(self, signal: Fresh) -> bool:
        if not signal.rule:
            return False
        shape = f"{hash_of(signal.action, shape_of(signal)):016x}"
        by = self._shapes.get(shape, ())
        if sum(each != signal.identity for each in by) >= PEERS_MIN:
            self._shapes.move_to_end(shape)
            return True
        if signal.identity not in by:
            self._shapes[shape] = (*by, signal.identity)
            self._changed.add(_SHAPE + shape)
        self._shapes.move_to_end(shape)
        if len(self._shapes) > SHAPES_MAX:
            name, _ = self._shapes.popitem(last=False)
            self._changed.add(_SHAPE + name)
        return False

    def _found(self, signal: Fresh, known: _Topics) -> Finding:
        did, days = _DID.get(signal.action, signal.action), int((signal.at_s - known.since_s) / DAY_S)
        text = f"identity {signal.identity} {did} {signal.topic}, which it never did in {days} days"
        if known.news > 1:
            text = f"{text}; {known.news:,} new topics within an hour"
        score = min(SCORE_MAX, self.score + int(POINTS_PER_DOUBLING * log2(known.news)))
        technique = POINT_AND_TAG_IDENTIFICATION if signal.action == "subscribe" else UNAUTHORIZED_COMMAND_MESSAGE
        return Finding(self.name, About.IDENTITY, signal.identity, score, text, signal.at_s, technique)


@dataclass(slots=True)
class _Widest:
    since_s: float
    width: int = NO_WILDCARD

    def as_json(self) -> dict[str, object]:
        return {"since_s": self.since_s, "width": self.width}


class Widened:
    """Who subscribes by a wider wildcard than ever."""

    name = "widened_subscription"
    wants = (Fresh,)
    score = 45
    everything_score = 70

    def __init__(self, days_known: int) -> None:
        self._days_known = days_known
        self._known: OrderedDict[str, _Widest] = OrderedDict()
        self._changed: set[str] = set()

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if not isinstance(signal, Fresh) or signal.identity in {"", "anonymous"}:
            return
        known = self._of(signal.identity, signal.at_s)
        width = width_of(signal.topic) if signal.action == "subscribe" else NO_WILDCARD
        if width >= known.width:
            return
        days = (signal.at_s - known.since_s) / DAY_S
        if days >= self._days_known:
            yield self._found(signal, width, known, int(days))
        known.width = width
        self._changed.add(signal.identity)

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        return taken(self._changed, self._known)

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            self._known[name] = _Widest(float(value["since_s"]), int(value["width"]))

    def _of(self, identity: str, at_s: float) -> _Widest:
        if identity not in self._known:
            self._known[identity] = _Widest(at_s)
            self._changed.add(identity)
        self._known.move_to_end(identity)
        if len(self._known) > IDENTITIES_MAX:
            name, _ = self._known.popitem(last=False)
            self._changed.add(name)
        return self._known[identity]

    def _found(self, signal: Fresh, width: int, known: _Widest, days: int) -> Finding:
        before = "it used no wildcard until now"
        if known.width < NO_WILDCARD:
            before = f"its first wildcard was at level {known.width // 2 + 1} until now"
        text = f"identity {signal.identity} subscribed to {signal.topic}, wider than ever in {days} days: {before}"
        score = self.everything_score if width <= EVERYTHING else self.score
        return Finding(
            self.name, About.IDENTITY, signal.identity, score, text, signal.at_s, POINT_AND_TAG_IDENTIFICATION
        )


def width_of(topic: str) -> int:
    """How narrow a Topic Filter is: by the level of its first wildcard, and of two at the same level `#` is the wider."""
    for level, word in enumerate(topic.split("/")):
        if word == "#":
            return 2 * level
        if word == "+":
            return 2 * level + 1
    return NO_WILDCARD


def shape_of(signal: Fresh) -> str:
    """A topic as others with the same rule have it: each its own name in the same place."""
    own = {signal.identity, signal.client_id}
    return f"{signal.rule} {'/'.join('<own>' if level in own else level for level in signal.topic.split('/'))}"


def hash_of(action: str, topic: str) -> int:
    """What is remembered of a topic. Nobody can choose one that looks like another's."""
    digest = blake2b(f"{action} {topic}".encode(errors="replace"), digest_size=HASH_BYTES).digest()
    return int.from_bytes(digest, "big")
