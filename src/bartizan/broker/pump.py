"""Drives the engine's lanes from the event loop: questions are answered, events written, commands looked at.

The engine makes `wake_fd` readable; nothing is polled. Questions in work are bounded: when the bound is
met no more are taken, the engine's own bounded queue fills, and its deadline refuses what waits too long.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bartizan.broker.ports import Answer, EnginePort, Question

QUESTIONS_MAX = 1_024
"""CONNECTs in work at once."""

QUESTIONS_PER_TURN = 16
"""CONNECTs taken before other work gets its turn: under a flood of them, what operators ask is answered in between."""

REST_S = 0.001
"""Behind a full turn of CONNECTs the loop rests. Without it, threads that look something up for an operator, or write it,
hardly get the interpreter in a flood: who is awake takes it back each time that it is let go for an instant."""

EVENTS_PER_TURN = 512
"""Events taken before other work gets its turn."""

WriteEvents = Callable[[Sequence[Mapping[str, Any]]], None]


class Answering(Protocol):
    """Has an answer to every question."""

    async def answer(self, question: Question) -> Answer:
        """The answer. Whatever goes wrong on the way is a refusal."""
        ...


class Pump:
    """Between `start` and `stop`, nothing the engine asks or tells is left lying."""

    def __init__(
        self, engine: EnginePort, desk: Answering, write: WriteEvents, commands: Callable[[], None] | None = None
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._write = write
        self._commands = commands
        self._in_work: set[asyncio.Task[None]] = set()
        self._answers: list[Answer] = []
        self._running = False
        self._watching = False
        self._rests = False
        self._turn_is_due = False

    def start(self) -> None:
        """Begins to listen to the engine."""
        self._running = True
        self._watch()
        self._turn()

    async def stop(self) -> None:
        """Ends: what is in work is dropped (the engine denies it), events are written to the last one."""
        self._running = False
        self._unwatch()
        for task in tuple(self._in_work):
            task.cancel()
        await asyncio.gather(*self._in_work, return_exceptions=True)
        self._flush()
        while self._take_events():
            pass

    def _watch(self) -> None:
        if not self._watching:
            asyncio.get_running_loop().add_reader(self._engine.wake_fd, self._turn)
            self._watching = True

    def _unwatch(self) -> None:
        if self._watching:
            asyncio.get_running_loop().remove_reader(self._engine.wake_fd)
            self._watching = False

    def _turn(self) -> None:
        self._turn_is_due = False
        if not self._running:
            return
        # Questions first: taking them silences the descriptor, so what comes in between makes it readable again.
        room = min(QUESTIONS_PER_TURN, QUESTIONS_MAX - len(self._in_work))
        questions = self._engine.take_questions(room) if room else ()
        more = self._take_events()
        if self._commands is not None:
            # Whoever carries them out takes them from the engine itself.
            self._commands()
        for question in questions:
            task = asyncio.get_running_loop().create_task(self._work(question))
            self._in_work.add(task)
            task.add_done_callback(self._done)
        if len(self._in_work) >= QUESTIONS_MAX:
            # A readable descriptor that nobody may drain would spin the loop.
            self._unwatch()
        elif questions and len(questions) == room:
            self._rest()
        elif more:
            self._turn_later()

    def _take_events(self) -> bool:
        """Writes a turn's worth; whether there may be more."""
        events = self._engine.take_events(EVENTS_PER_TURN)
        if events:
            self._write(events)
        return len(events) >= EVENTS_PER_TURN

    async def _work(self, question: Question) -> None:
        answer = await self._desk.answer(question)
        if not self._answers:
            # Answers of one turn of the loop go together.
            asyncio.get_running_loop().call_soon(self._flush)
        self._answers.append(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_work.discard(task)
        if self._running and not self._watching and not self._rests and len(self._in_work) <= QUESTIONS_MAX // 2:
            self._watch()
            self._turn_later()

    def _rest(self) -> None:
        # What comes meanwhile must not end it.
        self._unwatch()
        self._rests = True
        asyncio.get_running_loop().call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        self._rests = False
        if self._running:
            self._watch()
            self._turn()

    def _turn_later(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _flush(self) -> None:
        answers = tuple(self._answers)
        self._answers.clear()
        if answers:
            self._engine.answer(answers)
