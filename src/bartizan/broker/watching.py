"""What a broker watches of its decisions: uses and denials always; a staged policy and a lesson while there is one.

The engine notes in bounded tables, and every few seconds they are written to the observations of the data
directory. What is staged and what is learned from is kept there too: both outlive a restart, and both end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bartizan.audit.trail import Trail
from bartizan.broker.log import Journal
from bartizan.broker.place import is_expectations
from bartizan.broker.ports import EnginePort
from bartizan.errors import InvalidValue, StoreUnavailable
from bartizan.model.actor import Actor
from bartizan.model.observation import Watched
from bartizan.policy import CompiledPolicy, check_all
from bartizan.policy.payload import is_schema, schema_place
from bartizan.policy.rule_names import fingerprints
from bartizan.store.observations import ObservationStore

WRITE_INTERVAL_S = 10.0
USES_INTERVAL_S = 600.0
"""Which rules are used is much and changes little: a broker that is killed forgets the last minutes of it."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A policy that is asked beside the one in force. Times are those of `datetime.isoformat`."""

    texts: tuple[tuple[str, str], ...]
    """Name and text of each of its files, and of what is expected of it; of a schema its way from the policy."""
    digest: str
    since: str
    until: str | None = None

    @classmethod
    def kept(cls, fact: Any) -> Self | None:  # noqa: ANN401  what JSON holds
        """From what the store kept."""
        return None if fact is None else cls(**fact | {"texts": tuple((name, text) for name, text in fact["texts"])})

    def compiled(self) -> CompiledPolicy:
        """The policy; `InvalidValue` if it is none."""
        result = check_all([(name, text) for name, text in self.texts if not is_expectations(name)])
        if result.compiled is None:
            raise InvalidValue(str(result.errors[0]))
        return result.compiled


@dataclass(frozen=True, slots=True)
class Lesson:
    """Listeners whose clients are learned from."""

    listeners: tuple[str, ...]
    since: str
    until: str
    out: str = ""
    """The file that the contract is to be written to."""
    is_over: bool = False

    @classmethod
    def kept(cls, fact: Any) -> Self | None:  # noqa: ANN401  what JSON holds
        """From what the store kept."""
        return None if fact is None else cls(**fact | {"listeners": tuple(fact["listeners"])})


Before = Callable[[Staged | None], None]
"""Looks at what is staged, in the turn in which something else takes its place."""


class Watching:
    """Tells the engine what to watch, and writes what it observed."""

    def __init__(self, engine: EnginePort, store: ObservationStore, journal: Journal, trail: Trail) -> None:
        self._engine = engine
        self._store = store
        self._journal = journal
        self._trail = trail
        self._turn = asyncio.Lock()
        self._staged: Staged | None = None
        self._lesson: Lesson | None = None
        self._uses_due = time.monotonic() + USES_INTERVAL_S
        self._digest = ""
        self._rules: tuple[Mapping[str, str], ...] = ()
        """Fingerprints of rules by name, of the policy in force; of two while one takes the other's place, or failed to."""
        self._unwritten = 0
        """Uses that the store did not take."""

    async def begin(self, policy: CompiledPolicy) -> None:
        """Goes on with what was staged and learned from when the broker ended. `policy`: the one in force."""
        async with self._turn:
            try:
                self._staged = Staged.kept(await asyncio.to_thread(self._store.fact, "staged"))
                self._lesson = Lesson.kept(await asyncio.to_thread(self._store.fact, "lesson"))
                await self._look()
            except (InvalidValue, StoreUnavailable) as error:
                # A broker that cannot observe serves its clients all the same.
                self._journal.note("chore_failed", reason=f"what was staged is not watched: {error}")
                self._staged = None
                await self._look()
        with self._noted():
            await asyncio.to_thread(self._store.opened, datetime.now(UTC).date())
            await self._decides(policy.digest, await asyncio.to_thread(fingerprints, policy.image))

    async def end(self) -> None:
        """Writes what was observed last: nothing is missing then."""
        await self.write()
        await asyncio.to_thread(self._store.closed)

    async def write_some(self) -> None:
        """Writes what is new every few seconds; now and then, uses too."""
        await self._write(with_uses=time.monotonic() >= self._uses_due)

    async def write(self) -> None:
        """Writes all that was observed since the last time, and ends what is over."""
        await self._write(with_uses=True)

    @asynccontextmanager
    async def changing(self, policy: CompiledPolicy) -> AsyncIterator[None]:
        """Inside, this policy takes the place of the one in force.

        The engine names a rule by where it stands, so what was used before is written by the names of before. What
        is used meanwhile may be of either policy and counts for both: a rule is rather thought used than unused.
        """
        if policy.digest == self._digest:
            yield
            return
        with self._noted():
            await self.write()
        rules = await asyncio.to_thread(fingerprints, policy.image)
        if rules not in self._rules:
            # It is there already where it did not take the place before: as it may have done all the same.
            self._rules = (*self._rules, rules)
        yield
        with self._noted():
            await self.write()
        with self._noted():
            await self._decides(policy.digest, rules)

    async def _decides(self, digest: str, rules: Mapping[str, str]) -> None:
        self._digest, self._rules = digest, (rules,)
        await asyncio.to_thread(self._store.rules_are, frozenset(rules.values()), datetime.now(UTC))

    async def _write(self, *, with_uses: bool) -> None:
        async with self._turn:
            now = datetime.now(UTC)
            if with_uses:
                self._uses_due = time.monotonic() + USES_INTERVAL_S
            taken = await asyncio.to_thread(self._engine.take_observations, uses=with_uses)
            observed = [dict(shard) | {"uses": list(self._by_fingerprint(shard["uses"]))} for shard in taken]
            if any(shard["uses"] or any(shard["lost"].values()) or _has_rows(shard) for shard in observed):
                await self._keep_observed(observed, now)
            await self._end_what_is_over(now)

    def _by_fingerprint(self, uses: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Uses by what their rule says; of two policies, by what it says in each."""
        for use in uses:
            for rule in {rules[use["rule"]] for rules in self._rules if use["rule"] in rules}:
                yield {**use, "rule": rule}

    async def _keep_observed(self, observed: Sequence[dict[str, Any]], now: datetime) -> None:
        first = observed[0]
        first["lost"] = {**first["lost"], "uses": first["lost"]["uses"] + self._unwritten}
        self._unwritten = sum(len(shard["uses"]) + shard["lost"]["uses"] for shard in observed)
        await asyncio.to_thread(self._store.write, observed, now.date())
        self._unwritten = 0

    async def stage(
        self,
        texts: Sequence[tuple[str, str]],
        until: datetime | None,
        actor: Actor | None = None,
        *,
        before: Before | None = None,
    ) -> Staged:
        """Asks this policy beside the one in force from now on; `InvalidValue` if it is none.

        `before` raises if what is staged may not give way.
        """
        now = datetime.now(UTC)
        if wrong := [name for name, _ in texts if not _has_room(name)]:
            raise InvalidValue(f"no file of a staged policy can have such a name: {', '.join(wrong)}")
        staged = Staged(tuple(texts), "", now.isoformat(), None if until is None else until.isoformat())
        compiled = await asyncio.to_thread(staged.compiled)
        staged = Staged(staged.texts, compiled.digest, staged.since, staged.until)
        await self.write()
        after = {"digest": staged.digest, "until": staged.until or ""}
        async with self._turn:
            await self._give_way(before)
            async with self._changing("policy.stage", actor, after):
                # What another policy would have done says nothing about this one.
                await asyncio.to_thread(self._store.forget, Watched.DIFFERS)
                await self._keep("staged", asdict(staged))
                self._staged = staged
                await self._look()
        self._journal.note("policy_staged", policy=staged.digest, until=staged.until or "")
        return staged

    async def unstage(self, actor: Actor | None = None, *, before: Before | None = None) -> bool:
        """Asks it no more; False if there was none. What it would have decided is kept until the next one."""
        await self.write()
        async with self._turn:
            await self._give_way(before)
            was_staged = self._staged is not None
            await self._unstage(actor)
        return was_staged

    async def learn(self, listeners: Collection[str], until: datetime, out: str, actor: Actor | None = None) -> Lesson:
        """Learns from the clients of these listeners until then; what was learned before is forgotten."""
        known = {bound.name for bound in self._engine.listeners()}
        if unknown := sorted(set(listeners) - known):
            raise InvalidValue(f"no listener {', '.join(unknown)}: there is {', '.join(sorted(known))}")
        lesson = Lesson(tuple(sorted(set(listeners))), datetime.now(UTC).isoformat(), until.isoformat(), out)
        await self.write()
        after = {"listeners": lesson.listeners, "until": lesson.until}
        async with self._turn, self._changing("policy.learn", actor, after):
            await asyncio.to_thread(self._store.forget, Watched.LEARNED)
            await self._keep("lesson", asdict(lesson))
            self._lesson = lesson
            await self._look()
        self._journal.note("learning_started", listeners=list(lesson.listeners), until=lesson.until)
        return lesson

    async def stop_learning(self, actor: Actor | None = None) -> bool:
        """Learns no more; False if nothing was being learned. What was learned is kept."""
        await self.write()
        async with self._turn:
            is_learning = self._lesson is not None and not self._lesson.is_over
            await self._end_lesson(actor)
        return is_learning

    async def renew(self) -> None:
        """Tells the engine how the time windows of the staged policy go on."""
        async with self._turn:
            if self._staged is not None:
                await self._look()

    async def _give_way(self, before: Before | None) -> None:
        if before is not None:
            before(Staged.kept(await asyncio.to_thread(self._store.fact, "staged")))

    async def _end_what_is_over(self, now: datetime) -> None:
        if self._staged is not None and _is_past(self._staged.until, now):
            await self._unstage()
        if self._lesson is not None and not self._lesson.is_over and _is_past(self._lesson.until, now):
            await self._end_lesson()

    async def _unstage(self, actor: Actor | None = None) -> None:
        if self._staged is not None:
            digest = self._staged.digest
            async with self._changing("policy.unstage", actor, None, {"digest": digest}):
                self._staged = None
                await self._keep("staged", None)
                await self._look()
            self._journal.note("policy_unstaged", policy=digest)

    async def _end_lesson(self, actor: Actor | None = None) -> None:
        if self._lesson is not None and not self._lesson.is_over:
            lesson = self._lesson
            async with self._changing("policy.learn-stop", actor, None, {"listeners": lesson.listeners}):
                self._lesson = Lesson(lesson.listeners, lesson.since, lesson.until, lesson.out, is_over=True)
                await self._keep("lesson", asdict(self._lesson))
                await self._look()
            self._journal.note("learning_ended", listeners=list(lesson.listeners))

    async def _look(self) -> None:
        staged = None if self._staged is None else await asyncio.to_thread(self._staged.compiled)
        learn = self._lesson.listeners if self._lesson is not None and not self._lesson.is_over else ()
        await asyncio.to_thread(self._engine.watch, learn, staged)

    @asynccontextmanager
    async def _changing(
        self,
        what: str,
        actor: Actor | None,
        after: Mapping[str, Any] | None,
        before: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[None]:
        """On record as done by whoever asked for it, or by the broker where a time is over."""
        trail = self._trail.acting_as(actor) if actor else self._trail
        span = await trail.begin(what, "policy", before=before, after=after)
        async with trail.settling(span, what):
            yield

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Tells what cannot be written: a broker that cannot observe serves its clients all the same."""
        try:
            yield
        except StoreUnavailable as error:
            self._journal.note("chore_failed", reason=f"which rules are used is not known: {error}")

    async def _keep(self, name: str, value: object) -> None:
        await asyncio.to_thread(self._store.keep, name, value)


def _has_room(name: str) -> bool:
    """True if it is promoted into the policy's place and nowhere else."""
    return schema_place("", name) == name if is_schema(name) else Path(name).name == name


def _is_past(until: str | None, now: datetime) -> bool:
    return until is not None and datetime.fromisoformat(until) <= now


def _has_rows(shard: Any) -> bool:  # noqa: ANN401  what JSON holds
    return bool(shard["denials"] or shard["differences"] or shard["learned"])
