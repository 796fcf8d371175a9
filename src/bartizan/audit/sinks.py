"""Sinks: where the record goes beside its own files. The log itself is the buffer: each sink reads it by a cursor.

A sink that cannot deliver is asked again with the same records, later and later, for as long as the log is kept.
The cursor is on disk: after a restart it goes on where it was, and what it delivered last may come once more.
Of a sink that nobody acknowledges to, the cursor stays behind what may have been lost with a connection.
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from bartizan.audit.canonical import canonical
from bartizan.audit.cursor import Cursor, read_on
from bartizan.audit.head import Head
from bartizan.audit.segments import make_directory, open_private, replace_private, segments

LOOK_INTERVAL_S: Final = 0.5
"""How often a carrier looks whether there is something new."""

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""How long it waits after failing: twice as long each time, up to this."""

CLOSE_TIMEOUT_S: Final = 3.0

SETTLE_S: Final = 2.0
"""What nobody acknowledged counts as delivered once its connection has stood for so long behind it."""

Record = Mapping[str, Any]


class NotDelivered(Exception):  # noqa: N818  the name says what happened
    """A sink could not take records; they are handed to it again."""


class AuditSink(Protocol):
    """Takes records to somewhere else."""

    def deliver(self, records: Sequence[Record]) -> None:
        """Returns when they are there, or raises `NotDelivered`: then all of them come again."""
        ...

    def close(self) -> None:
        """Lets go of connections and files."""
        ...


@runtime_checkable
class Unacknowledged(Protocol):
    """An `AuditSink` whose receivers say nothing: a record may be lost with the connection that took it."""

    def settled(self) -> None:
        """Returns if the connection stands and has carried all that was delivered, or raises `NotDelivered`."""
        ...


Tell = Callable[[str, str | None], None]
"""Is told, by the sink's name, why it cannot deliver; None when it can again."""

Missed = Callable[[str, str, int, int], None]
"""Is told, by the sink's name and the log, the first and the last record that it never got: they were removed before."""


def unheard(_sink: str, _log: str, _first: int, _last: int) -> None:
    """Nobody asks."""


class Carrier:
    """Carries records of some logs to one sink, by a thread of its own."""

    def __init__(  # noqa: PLR0913  two more for those who count and wait
        self,
        name: str,
        sink: AuditSink,
        directory: Path,
        logs: Sequence[str],
        batch_max: int,
        tell: Tell,
        *,
        missed: Missed = unheard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.missed = 0
        """Records that it never got, since this carrier began."""
        self._sink = sink
        self._directory = directory
        self._state = directory / "sinks" / f"{name}.json"
        self._batch_max = batch_max
        self._tell = tell
        self._tell_missed = missed
        self._clock = clock
        self._sure = _cursors(self._state, directory, logs)
        """What is on disk: behind it nothing can have been lost."""
        self._reached = dict(self._sure)
        """What was handed over."""
        self._unsure: deque[tuple[float, dict[str, Cursor]]] = deque()
        """When each batch was handed over that may be lost yet, and what was reached by it."""
        self._missed_to = dict.fromkeys(logs, 0)
        self._failed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bartizan-audit-{name}"[:15], daemon=True)

    def start(self) -> None:
        """Begins to carry."""
        self._thread.start()

    def close(self) -> None:
        """Ends, after what is being delivered, for a moment at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)
        self._sink.close()

    def lag(self) -> int:
        """Records that wait for this sink, or may be lost yet."""
        heads = {log: Head.of(self._directory / log) for log in self._sure}
        return sum(max(0, head.seq - self._sure[log].seq) for log, head in heads.items() if head is not None)

    def has_had(self, log: str) -> int | None:
        """The last record of a log that it has for sure; None: it does not get that log."""
        cursor = self._sure.get(log)
        return None if cursor is None else cursor.seq

    def carry(self) -> bool:
        """Delivers what is next of each log; whether there may be more. `NotDelivered` leaves the cursor where it was."""
        self._settle()
        more = False
        for log in tuple(self._reached):
            batch: list[Record] = []
            reached = self._reached[log]
            for record, cursor in read_on(self._directory / log, reached):
                if record["seq"] > reached.seq + 1:
                    if batch:
                        more = True
                        break
                    self._skip(log, reached.seq + 1, Cursor(record["seq"] - 1, cursor.segment))
                batch.append(record)
                reached = cursor
                if len(batch) >= self._batch_max:
                    more = True
                    break
            if batch:
                self._hand_over(log, batch, reached)
        return more

    def _hand_over(self, log: str, batch: Sequence[Record], reached: Cursor) -> None:
        try:
            self._sink.deliver(batch)
        except Exception:
            self._begin_again()
            raise
        self._reached[log] = reached
        if isinstance(self._sink, Unacknowledged):
            self._unsure.append((self._clock(), dict(self._reached)))
        else:
            self._sure = dict(self._reached)
            self._keep()

    def _settle(self) -> None:
        """Of what nobody acknowledged: goes on behind what has had its time, or begins again with what may be lost."""
        if not isinstance(self._sink, Unacknowledged):
            return
        try:
            self._sink.settled()
        except NotDelivered:
            self._begin_again()
            return
        settled = None
        while self._unsure and self._clock() - self._unsure[0][0] >= SETTLE_S:
            _, settled = self._unsure.popleft()
        if settled is not None:
            self._sure = settled
            self._keep()

    def _begin_again(self) -> None:
        self._reached = dict(self._sure)
        self._unsure.clear()

    def _skip(self, log: str, first: int, behind: Cursor) -> None:
        """Goes on behind records that are not there any more, and tells them once."""
        first = max(first, self._missed_to[log] + 1)
        self._reached[log] = behind
        if not self._unsure:
            self._sure[log] = behind
            self._keep()
        if first <= behind.seq:
            self._missed_to[log] = behind.seq
            self.missed += behind.seq - first + 1
            self._tell_missed(self.name, log, first, behind.seq)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._turn()
        if not self._failed:
            # What came last.
            self._turn()

    def _turn(self) -> float:
        """Delivers what there is; how long to wait then."""
        try:
            more = self.carry()
        except (NotDelivered, OSError) as error:
            if not self._failed:
                self._tell(self.name, " ".join(str(error).split()) or type(error).__name__)
            self._failed += 1
            return min(RETRY_FIRST_S * 2 ** min(self._failed - 1, 10), RETRY_MAX_S)
        if self._failed:
            self._tell(self.name, None)
        self._failed = 0
        return 0.0 if more else LOOK_INTERVAL_S

    def _keep(self) -> None:
        make_directory(self._state.parent)
        said = {log: asdict(cursor) for log, cursor in self._sure.items()}
        replace_private(self._state, json.dumps(said).encode())


class FileLines:
    """Appends lines to a file, as they are kept."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`: on disk when it returns."""
        descriptor = open_private(self._file, os.O_WRONLY | os.O_APPEND)
        try:
            with os.fdopen(os.dup(descriptor), "ab") as file:
                file.writelines(canonical(each) + b"\n" for each in records)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is held."""


def _cursors(state: Path, directory: Path, logs: Sequence[str]) -> dict[str, Cursor]:
    told: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        told = json.loads(state.read_bytes())
    found: dict[str, Cursor] = {}
    for log in logs:
        # A new sink begins with what is there: it has missed nothing.
        oldest = next(iter(segments(directory / log)), None)
        found[log] = Cursor() if oldest is None else Cursor(int(oldest.stem) - 1)
        with suppress(TypeError, KeyError):
            found[log] = Cursor(**told[log])
    return found
