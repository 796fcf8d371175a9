"""The log of a start: silent when it is quick, and every second a line when it is not."""

import asyncio
import io
import json

import pytest

from bartizan.broker import recovery
from bartizan.broker.log import Journal
from bartizan.broker.recovery import tell_recovery
from bartizan.config.schema import LogSettings
from bartizan.errors import StartRefused
from tests.unit.broker.fake import FakeEngine


def told(begin) -> list[dict[str, object]]:
    stream, engine = io.StringIO(), FakeEngine()
    journal = Journal(stream, LogSettings(format="json"), held=True)
    try:
        asyncio.run(tell_recovery(begin(engine), engine, journal))
    finally:
        journal.close()
        engine.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_quick_start_says_nothing():
    async def begin(engine: FakeEngine) -> None:
        engine.counters["sessions"] = 5

    assert told(begin) == []


def test_a_slow_start_says_how_far_it_is_and_how_long_it_took(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recovery, "TELL_EVERY_S", 0.05)

    async def begin(engine: FakeEngine) -> None:
        for sessions in (10, 20):
            engine.counters["sessions"] = sessions
            await asyncio.sleep(0.075)

    lines = told(begin)
    assert [line["event"] for line in lines][-1] == "recovered"
    assert {line["event"] for line in lines[:-1]} == {"recovering"}
    assert (lines[0]["sessions"], lines[-1]["sessions"]) == (10, 20)


def test_a_start_that_is_refused_raises_its_error():
    async def begin(engine: FakeEngine) -> None:
        raise StartRefused("no")

    with pytest.raises(StartRefused):
        told(begin)
