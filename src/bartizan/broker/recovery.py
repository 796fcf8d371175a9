"""A start that takes its time says how far it is."""

import asyncio
import time
from collections.abc import Coroutine

from bartizan.broker.log import Journal
from bartizan.broker.ports import EnginePort

TELL_EVERY_S = 1.0


async def tell_recovery(begin: Coroutine[None, None, None], engine: EnginePort, journal: Journal) -> None:
    """Runs `begin`, which starts the engine; every second the log says what the store has given back."""
    started = time.monotonic()
    beginning = asyncio.ensure_future(begin)
    is_told = False
    while not (await asyncio.wait({beginning}, timeout=TELL_EVERY_S))[0]:
        # Whoever waits for the first line would take this start for one that stands still.
        journal.release()
        is_told = True
        sessions, messages = engine.recovery()
        journal.note("recovering", sessions=sessions, messages=messages)
    await beginning
    if is_told:
        sessions, messages = engine.recovery()
        seconds = round(time.monotonic() - started, 1)
        journal.note("recovered", sessions=sessions, messages=messages, seconds=seconds)
