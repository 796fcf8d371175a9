"""What clients have at this broker, what is retained, and which topics there are; removing what is retained is on record."""

import asyncio
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
from bartizan.store.observations import ObservationStore

CLEAR: Final = "retained.clear"
"""As the record names it."""

PAGE: Final = 1_000
DENIALS_SHOWN: Final = 10
DEPTH_MAX: Final = 32


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

    async def retained(
        self, filter_: str, after: str | None = None, limit: int = PAGE, *, whole: bool = False
    ) -> Mapping[str, Any]:
        """Retained Messages that a Topic Filter matches, and `next`: the topic behind which there are more."""
        return await asyncio.to_thread(self._engine.retained, filter_, after, limit, whole=whole)

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

    async def topics(self, prefix: str, depth: int) -> dict[str, Any]:
        """Topics below a prefix with what is retained, subscribed to and was used there; of `left_out` the sums alone."""
        if not 0 < depth <= DEPTH_MAX:
            raise InvalidValue(f"a tree has 1 to {DEPTH_MAX} levels")
        tree = await asyncio.to_thread(self._engine.topics, prefix, depth)
        used = await asyncio.to_thread(self._used)
        levels = depth + (prefix.count("/") + 1 if prefix else 0)
        topics: dict[str, dict[str, int]] = {name: {**what, "used": 0} for name, what in tree["topics"].items()}
        nothing = {"retained": 0, "retained_bytes": 0, "subscriptions": 0, "used": 0}
        for topic in used:
            if not prefix or topic == prefix or topic.startswith(f"{prefix}/"):
                name = "/".join(topic.split("/")[:levels])
                topics.setdefault(name, dict(nothing))["used"] += 1
        return {"topics": dict(sorted(topics.items())), "left_out": tree["left_out"]}

    def _used(self) -> list[str]:
        """A topic of each rule that an identity used: what publishers and subscribers were last seen at."""
        return [use.topic for use in self._observations.uses()]


def _denial(seen: Observation) -> dict[str, Any]:
    told = asdict(seen)
    kept = {key: told[key] for key in ("number", "action", "topic", "rule", "why", "qos", "retain", "count")}
    return kept | {"last_at": seen.last_at.isoformat()}
