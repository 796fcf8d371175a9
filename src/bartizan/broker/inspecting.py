"""What clients have at this broker, what is retained, and which topics there are. Who reads a message, or removes it, is on record."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bartizan.audit.record import Outcome
from bartizan.audit.trail import Trail
from bartizan.broker.ports import InspectPort
from bartizan.errors import InvalidValue, NotFound
from bartizan.model.actor import Actor
from bartizan.model.observation import Observation, Watched
from bartizan.model.topics import TopicName
from bartizan.store.observations import ObservationStore

CLEAR: Final = "retained.clear"
READ: Final = "retained.read"
"""As the record names them."""

PAGE: Final = 1_000
DENIALS_SHOWN: Final = 10
DEPTH_MAX: Final = 32
OVER_S_MAX: Final = 60.0
SUBSCRIPTIONS_MAX: Final = 100_000
TOPICS_MAX: Final = 10_000
"""Of a tree; of more, the sums are told."""

_CARRIED: Final = ("messages", "bytes")


class Inspecting:
    """Looks things up; nothing that it does holds a message up."""

    def __init__(self, engine: InspectPort, observations: Path, trail: Trail) -> None:
        self._engine = engine
        self._observations = ObservationStore(observations)
        self._trail = trail

    async def session(self, client_id: str, tenant: str | None) -> dict[str, Any]:
        """A Session, connected or away, and what its identity was denied lately; `NotFound` where there is none."""
        found = await asyncio.to_thread(self._engine.session, client_id, tenant)
        if found is None:
            raise NotFound(f"no client {client_id!r} is connected, or has a Session")
        denied = await asyncio.to_thread(self._observations.observations, Watched.DENIED, identity=found["identity"])
        own = [one for one in denied if one.client_id == client_id]
        return {**found, "denials": [_denial(one) for one in reversed(own[-DENIALS_SHOWN:])]}

    async def retained(self, filter_: str, after: str | None = None, limit: int = PAGE) -> Mapping[str, Any]:
        """Retained Messages that a Topic Filter matches, without payload and properties; and `next`: the topic behind
        which there are more."""
        return await asyncio.to_thread(self._engine.retained, filter_, after, limit, whole=False)

    async def message(self, topic: str, actor: Actor) -> Mapping[str, Any]:
        """The Retained Message of a topic, whole; `NotFound` where there is none. On record before it is read."""
        name, trail = TopicName.parse(topic), self._trail.acting_as(actor)
        span = await trail.begin(READ, f"topic/{name}")
        async with trail.settling(span, READ):
            found = await asyncio.to_thread(self._engine.retained, name, None, 1, whole=True)
            if not found["messages"]:
                raise NotFound(f"no message is retained for {topic!r}")
        return found["messages"][0]

    async def clear_retained(self, filter_: str, actor: Actor) -> int:
        """Removes what a Topic Filter matches; how many messages that was. On record before the first is gone."""
        trail = self._trail.acting_as(actor)
        # What is no filter is no change either.
        await asyncio.to_thread(self._engine.retained, filter_, None, 1, whole=False)
        span = await trail.begin(CLEAR, f"topic/{filter_}")
        count = 0
        try:
            behind: str | None = None
            while True:
                cleared = await asyncio.to_thread(self._engine.clear_retained, filter_, behind, PAGE)
                count += cleared["count"]
                behind = cleared["next"]
                if behind is None:
                    break
        except Exception as error:
            why = f"{count} messages removed, then: {error}"
            await asyncio.to_thread(trail.settle, span, CLEAR, Outcome.FAILED, why)
            raise
        await asyncio.to_thread(trail.settle, span, CLEAR, Outcome.DONE, f"{count} messages removed")
        return count

    async def subscriptions(self, sought: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Subscriptions of Sessions, connected or away: of an `identity`, a `client_id`, or that match a `topic`.

        In no order. `InvalidValue` where more than `SUBSCRIPTIONS_MAX` fit: a part of them would look like all.
        """
        found: list[Mapping[str, Any]] = []
        after: tuple[int, int] | None = None
        while True:
            page = await asyncio.to_thread(self._engine.subscriptions, sought, after, PAGE)
            found += page["subscriptions"]
            if len(found) > SUBSCRIPTIONS_MAX:
                raise InvalidValue(
                    f"more than {SUBSCRIPTIONS_MAX:,} Subscriptions fit: name an identity, a client or a topic"
                )
            if page["next"] is None:
                return found
            shard, place = page["next"]
            after = (shard, place)

    async def topics(self, prefix: str, depth: int, *, over_s: float = 0) -> dict[str, Any]:
        """Topics below a prefix with what is retained, subscribed to and was used there; of `left_out` the sums alone.

        `over_s`: for so many seconds, at most `OVER_S_MAX`, it is counted what is published; `messages_per_s` and
        `bytes_per_s` of each are what that comes to.
        """
        if not 0 < depth <= DEPTH_MAX:
            raise InvalidValue(f"a tree has 1 to {DEPTH_MAX} levels")
        if not 0 <= over_s <= OVER_S_MAX:
            raise InvalidValue(f"what topics carry is counted for at most {OVER_S_MAX:g} seconds")
        before: Mapping[str, Any] = {"topics": {}, "left_out": {}}
        began = time.monotonic()
        if over_s:
            before = await asyncio.to_thread(self._engine.topics, prefix, depth, traffic=True)
            await asyncio.sleep(over_s)
        tree = await asyncio.to_thread(self._engine.topics, prefix, depth, traffic=over_s > 0)
        took_s = time.monotonic() - began if over_s else 0
        used = await asyncio.to_thread(self._used)
        levels = depth + (prefix.count("/") + 1 if prefix else 0)
        topics: dict[str, dict[str, float]] = {
            name: {**_with_rates(what, before["topics"].get(name, {}), took_s), "used": 0}
            for name, what in tree["topics"].items()
        }
        left_out = {**_with_rates(tree["left_out"], before["left_out"], took_s), "used": 0}
        for topic in used:
            if not prefix or topic == prefix or topic.startswith(f"{prefix}/"):
                name = "/".join(topic.split("/")[:levels])
                if name not in topics and len(topics) < TOPICS_MAX:
                    topics[name] = dict.fromkeys(left_out, 0)
                topics.get(name, left_out)["used"] += 1
        return {"topics": dict(sorted(topics.items())), "left_out": left_out}

    def _used(self) -> list[str]:
        """A topic of each rule that an identity used: what publishers and subscribers were last seen at."""
        return [use.topic for use in self._observations.uses()]


def _with_rates(what: Mapping[str, int], before: Mapping[str, int], took_s: float) -> dict[str, float]:
    """A branch with what it carried a second in place of what it has carried; without that where nothing was counted."""
    told: dict[str, float] = {name: count for name, count in what.items() if name not in _CARRIED}
    if took_s:
        for name in _CARRIED:
            # Less than there was has been counted anew meanwhile.
            told[f"{name}_per_s"] = round(max(what[name] - before.get(name, 0), 0) / took_s, 3)
    return told


def _denial(seen: Observation) -> dict[str, Any]:
    told = asdict(seen)
    kept = {key: told[key] for key in ("number", "action", "topic", "rule", "why", "qos", "retain", "count")}
    return kept | {"last_at": seen.last_at.isoformat()}
