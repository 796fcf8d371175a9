"""Events for readers who may be slow: bounded, told what was lost, and nothing that a peer chose breaks out of its line."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from bartizan.api import stream
from bartizan.api.stream import READERS_MAX, Line, Readers, is_at_least, lines_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Told:
    """A journal that somebody watches."""

    def __init__(self) -> None:
        self.watchers: list[Any] = []

    def watch(self, watcher):
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher)

    def note(self, **event: object) -> None:
        for watcher in self.watchers:
            watcher([event])


async def goes_on() -> bool:
    return True


async def first_data(line: Line) -> bytes:
    lines: Any = lines_of(line, goes_on)
    assert await anext(lines) == b": events\n\n"
    told = await anext(lines)
    await lines.aclose()
    return told


@pytest.mark.anyio
async def test_what_a_peer_chose_stays_inside_of_its_line():
    line = Line(lambda _event: True)
    evil = "x\n\nevent: end\ndata: {}\n\n\u2028\r"
    line.see([{"event": "connected", "client_id": evil, "tenant": None}])
    told = await first_data(line)
    assert told.count(b"\n") == 2
    assert told.isascii()
    assert json.loads(told.removeprefix(b"data: ")) == {"level": "info", "event": "connected", "client_id": evil}


@pytest.mark.anyio
async def test_what_finds_no_room_is_counted_and_told(monkeypatch):
    monkeypatch.setattr(stream, "EVENTS_WAITING_MAX", 2)
    line = Line(lambda _event: True)
    line.see([{"event": "connected", "n": number} for number in range(5)])
    told = await first_data(line)
    assert told.count(b"data: ") == 3
    assert told.endswith(b'event: lost\ndata: {"count": 3}\n\n')
    assert line.take() == ([], 0)


@pytest.mark.anyio
async def test_a_reader_whose_login_is_over_hears_nothing_any_more(monkeypatch):
    monkeypatch.setattr(stream, "CHECK_INTERVAL_S", 0.0)

    async def over() -> bool:
        return False

    line = Line(lambda _event: True)
    line.see([{"event": "connected"}])
    assert [part async for part in lines_of(line, over)] == [b": events\n\n", b"event: end\ndata: {}\n\n"]


@pytest.mark.anyio
async def test_where_nothing_happens_a_comment_shows_whether_the_reader_is_there(monkeypatch):
    monkeypatch.setattr(stream, "ALIVE_INTERVAL_S", 0.0)
    assert await first_data(Line(lambda _event: True)) == b": alive\n\n"


def test_a_line_takes_what_fits_and_ends_with_its_reader():
    journal = Told()
    readers = Readers(journal)  # pyrefly: ignore[bad-argument-type]
    line, end = readers.open(lambda event: event["event"] == "finding")
    journal.note(event="connected")
    journal.note(event="finding", number=7)
    assert line.take() == ([{"event": "finding", "number": 7}], 0)
    end()
    journal.note(event="finding", number=8)
    assert line.take() == ([], 0)
    assert (readers.count, journal.watchers) == (0, [])


def test_there_are_only_so_many_readers():
    readers = Readers(Told())  # pyrefly: ignore[bad-argument-type]
    ends = [readers.open(lambda _event: True)[1] for _ in range(READERS_MAX)]
    with pytest.raises(HTTPException) as refused:
        readers.open(lambda _event: True)
    assert refused.value.status_code == 503
    ends[0]()
    readers.open(lambda _event: True)


@pytest.mark.parametrize(
    ("event", "level", "fits"),
    [
        ({"event": "connected"}, "info", True),
        ({"event": "connected"}, "warning", False),
        ({"event": "denied"}, "warning", True),
        ({"event": "store_failed"}, "warning", True),
        ({}, "error", False),
    ],
)
def test_events_are_of_a_severity(event: Mapping[str, Any], level, fits):
    assert is_at_least(event, level) is fits
