"""The log: one line per event whatever a peer put into it, and a slow reader stops nobody."""

import io
import json
import threading

import pytest

from bartizan.broker import log
from bartizan.broker.log import Journal, escaped
from bartizan.config.schema import LogSettings

EVIL = "press\n2026-01-01 [info] forged\x1b[2J\u202e\u2028\u200b\x85"


def lines(settings: LogSettings, *events: dict[str, object]) -> list[str]:
    stream = io.StringIO()
    journal = Journal(stream, settings)
    journal.events(events)
    journal.close()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_peer_cannot_write_a_line_or_move_the_cursor(form):
    event: dict[str, object] = {"event": "denied", "at_ms": 1_000, "client_id": EVIL, "topic": EVIL}
    (line,) = lines(LogSettings.model_validate({"format": form}), event)
    assert "forged" in line
    assert line.isprintable()


def test_json_says_what_happened_with_level_and_time():
    (line,) = lines(LogSettings(format="json"), {"event": "refused", "at_ms": 1_500, "reason": "Not authorized"})
    assert json.loads(line) == {
        "at": "1970-01-01T00:00:01.500+00:00",
        "level": "warning",
        "event": "refused",
        "reason": "Not authorized",
    }


def test_events_below_the_level_are_left_out():
    told = lines(LogSettings(level="warning"), {"event": "connected", "at_ms": 0}, {"event": "denied", "at_ms": 0})
    assert len(told) == 1
    assert "denied" in told[0]


def test_plain_output_has_no_colour_codes():
    (line,) = lines(LogSettings(), {"event": "connected", "at_ms": 0, "identity": "press-01"})
    assert "\x1b" not in line
    assert "press-01" in line


def test_letters_of_any_language_stay_readable():
    assert escaped("Prüfstand 测试") == "Prüfstand 测试"


def test_a_reader_that_stands_still_stops_nobody_and_what_was_lost_is_told(monkeypatch):
    monkeypatch.setattr(log, "LINES_MAX", 2)
    may_write, stream = threading.Event(), io.StringIO()

    class Slow(io.StringIO):
        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        def write(self, text: str) -> int:
            may_write.wait(5)
            return stream.write(text)

    journal = Journal(Slow(), LogSettings())
    for _ in range(20):
        journal.note("started")  # returns at once
    may_write.set()
    while journal._lines.qsize():
        pass
    journal.note("stopped")
    journal.close()
    assert "batches of log lines were lost" in stream.getvalue()
    assert "stopped" in stream.getvalue()


def test_a_held_log_writes_nothing_before_it_is_released():
    stream = io.StringIO()
    journal = Journal(stream, LogSettings(), held=True)
    journal.note("started")
    assert stream.getvalue() == ""
    journal.close()
    assert "started" in stream.getvalue()


def test_values_with_blanks_are_quoted_and_colours_are_shown_where_asked_for():
    event: dict[str, object] = {
        "event": "refused",
        "at_ms": 1_007,
        "reason": "Not authorized",
        "listener": "mqtt",
        "why": "",
    }
    (line,) = lines(LogSettings(), event)
    assert line == "1970-01-01T00:00:01.007+00:00 [warning] refused        reason='Not authorized' listener=mqtt"
    stream = io.StringIO()
    journal = Journal(stream, LogSettings(), colours=True)
    journal.events([event])
    journal.close()
    assert "\x1b[33mwarning\x1b[0m" in stream.getvalue()
    assert "\x1b[36mlistener\x1b[0m=\x1b[35mmqtt\x1b[0m" in stream.getvalue()
