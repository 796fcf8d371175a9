"""Sinks: where the record goes beside its own files. The log itself is the buffer: each sink reads it by a cursor.

A sink that cannot deliver is asked again with the same records, later and later, for as long as the log is kept.
The cursor is on disk: after a restart it goes on where it was, and what it delivered last may come once more.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

from bartizan.audit.canonical import canonical
from bartizan.audit.cursor import Cursor, read_on
from bartizan.audit.head import Head
from bartizan.audit.segments import make_directory, open_private, replace_private

LOOK_INTERVAL_S: Final = 0.5
"""How often a carrier looks whether there is something new."""

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""How long it waits after failing: twice as long each time, up to this."""

CLOSE_TIMEOUT_S: Final = 3.0

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


Tell = Callable[[str, str | None], None]
"""Is told, by the sink's name, why it cannot deliver; None when it can again."""


class Carrier:
    """Carries records of some logs to one sink, by a thread of its own."""

    def __init__(
        self,
        name: str,
        sink: AuditSink,
        directory: Path,
        logs: Sequence[str],
        batch_max: int,
        tell: Tell,
    ) -> None:
        self.name = name
        self._sink = sink
        self._directory = directory
        self._state = directory / "sinks" / f"{name}.json"
        self._batch_max = batch_max
        self._tell = tell
        self._cursors = _cursors(self._state, logs)
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
        """Records that wait for this sink."""
        heads = {log: Head.of(self._directory / log) for log in self._cursors}
        return sum(max(0, head.seq - self._cursors[log].seq) for log, head in heads.items() if head is not None)

    def carry(self) -> bool:
        """Delivers what is next of each log; whether there may be more. `NotDelivered` leaves the cursor where it was."""
        more = False
        for log in tuple(self._cursors):
            batch: list[Record] = []
            reached = self._cursors[log]
            for record, cursor in read_on(self._directory / log, reached):
                batch.append(record)
                reached = cursor
                if len(batch) >= self._batch_max:
                    more = True
                    break
            if batch:
                self._sink.deliver(batch)
                self._cursors[log] = reached
                self._keep()
        return more

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
        said = {log: asdict(cursor) for log, cursor in self._cursors.items()}
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


def _cursors(state: Path, logs: Sequence[str]) -> dict[str, Cursor]:
    told: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        told = json.loads(state.read_bytes())
    found: dict[str, Cursor] = {}
    for log in logs:
        found[log] = Cursor()
        with suppress(TypeError, KeyError):
            found[log] = Cursor(**told[log])
    return found
