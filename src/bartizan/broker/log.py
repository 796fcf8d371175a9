"""Events as lines on standard error: for eyes (`human`) or for machines (`json`), one line each.

What a peer chose (Client Identifiers, topics) is in them, so control characters are escaped: nobody
writes a line of their own into this log, or moves a reader's cursor. Lines go out by a thread: a
reader that stands still cannot stop the broker; what does not fit the queue is counted and told.
"""

import json
import queue
import re
import threading
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

from bartizan.config.schema import LogSettings

Level = Literal["debug", "info", "warning", "error"]

LINES_MAX = 10_000
"""Batches of lines that wait for a slow reader; further ones are dropped and counted."""

CLOSE_TIMEOUT_S = 2.0

RANK: Mapping[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}

LEVELS: Mapping[str, Level] = {
    "refused": "warning",
    "denied": "warning",
    "contract_broken": "warning",
    "limit_met": "warning",
    "repeated": "warning",
    "policy_refused": "error",
    "certificates_refused": "error",
    "configuration_refused": "error",
    "danger": "warning",
    "needs_restart": "warning",
    "few_descriptors": "warning",
    "chore_failed": "error",
    "provider_unavailable": "warning",
    "operator_refused": "warning",
    "operator_denied": "warning",
    "credential_expiring": "warning",
    "crl_unavailable": "warning",
    "certificate_in_two_places": "warning",
    "credential_in_two_places": "warning",
    "finding": "warning",
    "response": "warning",
    "runbook": "warning",
    "detection_behind": "warning",
    "audit_sink_unavailable": "warning",
    "audit_sink_missed": "error",
    "metrics_not_sent": "warning",
    "traces_not_sent": "warning",
    "store_failed": "error",
}
"""The severity of each kind of event; `info` for the rest."""

COLOURS: Mapping[str, str] = {
    "at": "\x1b[2m",
    "debug": "\x1b[32m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "event": "\x1b[1m",
    "key": "\x1b[36m",
    "value": "\x1b[35m",
}
"""How each part of a line looks where colours are shown."""

NO_COLOURS: Mapping[str, str] = dict.fromkeys(COLOURS, "")

EVENT_WIDTH = 14

_JSON = json.JSONEncoder(separators=(",", ":"), default=str)

_NEEDS_QUOTES = re.compile("[ \t\r\n=\"']")

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def escaped(text: str) -> str:
    """The text with controls, line breaks and invisible marks spelt out, on one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelt(char) if unicodedata.category(char) in _INVISIBLE else char for char in text)


def _spelt(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _clean(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Sequence):
        return [_clean(item) for item in value]
    return value


@lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    """The date and time of a second: many events share one."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time(at_ms: int) -> str:
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}+00:00"


def _shown(value: Any) -> str:  # noqa: ANN401  whatever JSON holds
    """A value as the human form shows it: a bare word, or quoted."""
    clean = _clean(value)
    if isinstance(clean, str) and not _NEEDS_QUOTES.search(clean):
        return clean
    return repr(clean)


def _human(at: str, level: Level, kind: str, fields: Mapping[str, Any], colour: Mapping[str, str]) -> str:
    """One event as one line for eyes."""
    end = "\x1b[0m" if colour["event"] else ""
    words = [
        f"{colour['at']}{at}{end} [{colour[level]}{level}{end}] {colour['event']}{escaped(kind):<{EVENT_WIDTH}}{end}"
    ]
    key_, value_ = colour["key"], colour["value"]
    words += [f"{key_}{key}{end}={value_}{_shown(value)}{end}" for key, value in fields.items() if value != ""]
    return " ".join(words)


def line_of(event: Mapping[str, Any], *, as_json: bool, colours: Mapping[str, str] = NO_COLOURS) -> str:
    """An event as a line of the log."""
    kind = str(event.get("event", "unknown"))
    level = LEVELS.get(kind, "info")
    at = _time(event.get("at_ms", 0))
    fields = {key: value for key, value in event.items() if key not in {"event", "at_ms"} and value is not None}
    if as_json:
        # ASCII only: no terminal and no collector reads anything into it.
        return _JSON.encode({"at": at, "level": level, "event": kind, **fields})
    return _human(at, level, kind, fields, colours)


class Journal:
    """The broker's log. `level` may be changed while it runs.

    One that is `held` writes nothing before `release`: what `up` prints first is not cut by log lines.
    """

    def __init__(self, stream: TextIO, settings: LogSettings, *, colours: bool = False, held: bool = False) -> None:
        self._stream = stream
        self._json = settings.format == "json"
        self._colours = COLOURS if colours else NO_COLOURS
        self.level: Level = settings.level
        self._lines: queue.Queue[str | None] = queue.Queue(LINES_MAX)
        self._lost = 0
        self._watchers: tuple[Callable[[Sequence[Mapping[str, Any]]], None], ...] = ()
        self._released = threading.Event()
        if not held:
            self._released.set()
        self._thread = threading.Thread(target=self._write, name="bartizan-log", daemon=True)
        self._thread.start()

    def note(self, kind: str, /, **fields: object) -> None:
        """One event of the broker's own life, now."""
        now = datetime.now(UTC)
        self.events([{"event": kind, "at_ms": int(now.timestamp() * 1000), **fields}])

    def events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Events as the engine tells them: `event`, `at_ms` and their fields."""
        for watcher in self._watchers:
            watcher(events)
        rendered = [line for event in events if (line := self._render(event))]
        if rendered:
            self._put("".join(rendered))

    def watch(self, watcher: Callable[[Sequence[Mapping[str, Any]]], None]) -> Callable[[], None]:
        """Shows all that is told from now on, whatever the level, to somebody who is quick; what ends it."""
        self._watchers = (*self._watchers, watcher)

        def unwatch() -> None:
            self._watchers = tuple(each for each in self._watchers if each is not watcher)

        return unwatch

    def release(self) -> None:
        """Begins to write."""
        self._released.set()

    def close(self) -> None:
        """Writes what waits, for a moment at most."""
        self.release()
        with suppress(queue.Full):
            self._lines.put(None, timeout=CLOSE_TIMEOUT_S)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _render(self, event: Mapping[str, Any]) -> str | None:
        if RANK[LEVELS.get(str(event.get("event", "unknown")), "info")] < RANK[self.level]:
            return None
        return line_of(event, as_json=self._json, colours=self._colours) + "\n"

    def _put(self, text: str) -> None:
        try:
            if self._lost:
                self._lines.put_nowait(f"{self._lost} batches of log lines were lost: their reader is too slow\n")
                self._lost = 0
            self._lines.put_nowait(text)
        except queue.Full:
            self._lost += 1

    def _write(self) -> None:
        self._released.wait()
        while (text := self._lines.get()) is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                # The reader went away. The broker works on without a log; `/metrics` still speaks.
                continue
