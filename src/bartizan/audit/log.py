"""Appends to a log: one process at a time, each record chained to the one before, all synced before it returns.

Several processes append: the broker, and every verb that changes something. Each looks for the end when it has the
lock. What cannot be written whole is taken back, and refused: whoever wanted it on record must not go on.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bartizan.audit.canonical import canonical
from bartizan.audit.damage import damage
from bartizan.audit.founding import found
from bartizan.audit.head import HEAD, HEAD_BYTES_MAX, Head
from bartizan.audit.keys import Purpose, SigningKey
from bartizan.audit.record import Entry, Kind, Line, line_of
from bartizan.audit.retention import Awaited, outdated, remove, retired
from bartizan.audit.search import latest, record, records
from bartizan.audit.segments import (
    End,
    end_of,
    lock_alone,
    make_directory,
    open_private,
    segment_name,
    sync_directory,
    write_all,
)
from bartizan.audit.unsigned import is_late
from bartizan.config.audit import AuditSettings
from bartizan.errors import StoreUnavailable

CHECKPOINT: Final = "audit.checkpoint"

Synced = Callable[[float], None]
"""Is told how many seconds each sync of a log took."""


def _now() -> datetime:
    return datetime.now(UTC)


def untold(_took_s: float) -> None:
    """Nobody asks."""


@dataclass(slots=True)
class _Open:
    """A log whose lock is held."""

    lock: int
    head: Head
    end: End
    prefix: bytes = b""
    """What ends a line that a crash left without its end."""
    pending: list[Line] = field(default_factory=list)

    @property
    def seq(self) -> int:
        """The last number that was given."""
        return self.pending[-1].seq if self.pending else self.head.seq

    def add(self, fields: Callable[[int, str], dict[str, Any]]) -> Line:
        """The next line: of the record that has this number, behind the record of this hash."""
        line = line_of(fields(self.seq + 1, self.pending[-1].hash if self.pending else self.head.hash))
        self.pending.append(line)
        return line


@dataclass(frozen=True, slots=True)
class Keep:
    """How long a log is kept."""

    days: int
    bytes_max: int | None = None
    """None: however large it grows."""


class Log:
    """One log: a directory of segments."""

    def __init__(
        self,
        directory: Path,
        key: SigningKey,
        settings: AuditSettings,
        keep: Keep | None = None,
        *,
        now: Callable[[], datetime] = _now,
        synced: Synced = untold,
    ) -> None:
        self.directory = directory
        self._keep = keep or Keep(settings.keep_days)
        self._key = key
        self._settings = settings
        self._now = now
        self._synced = synced
        self._wrote: Head | None = None
        """The head that this one wrote last: what it signed itself needs no check."""

    def append(self, entries: Sequence[Entry]) -> tuple[int, int]:
        """Writes them, on disk when it returns; the first and the last number. `StoreUnavailable`: none was written."""
        with self._opened() as opened:
            first = opened.seq + 1
            for entry in entries:
                self._add(opened, entry)
            last = opened.seq
            if why := self._checkpoint_due(opened):
                self._sign(opened, why)
            self._write(opened)
            return first, last

    def checkpoint(self) -> None:
        """Signs what was not signed for as long as the settings say."""
        head = Head.of(self.directory)
        if head is None or head.seq <= head.checkpoint_seq:
            return
        with self._opened() as opened:
            if opened.seq > opened.head.checkpoint_seq and (why := self._checkpoint_due(opened)):
                self._sign(opened, why)
                self._write(opened)

    def retire(self, awaited: Awaited | None = None) -> tuple[str, ...]:
        """Removes segments that are older than the settings say: first on record, then gone. Their names."""
        before = self._now() - timedelta(days=self._keep.days)
        if not outdated(self.directory, before, self._keep.bytes_max, awaited):
            return ()
        with self._opened() as opened:
            gone = outdated(self.directory, before, self._keep.bytes_max, awaited)
            if not gone:
                return ()
            self._add(opened, retired(gone))
            self._sign(opened, "retention")
            self._write(opened)
            remove(gone)
            return tuple(each.path.name for each in gone)

    @contextmanager
    def _opened(self) -> Iterator[_Open]:
        """Holds the log, ready for what comes next."""
        lock = -1
        try:
            found(self.directory.parent)
            make_directory(self.directory)
            lock = open_private(self.directory / HEAD, os.O_RDWR)
            lock_alone(lock)
            opened = self._look(lock)
            self._rotate(opened)
            yield opened
        except OSError as error:
            what = error.strerror or str(error)
            raise StoreUnavailable(
                f"the audit log {self.directory} cannot be written ({what}): nothing was changed"
            ) from None
        finally:
            if lock >= 0:
                os.close(lock)

    def _look(self, lock: int) -> _Open:
        """Finds the end. What lies behind the last record, or is missing there, is put on record before all else."""
        end = end_of(self.directory)
        told, wrong = self._told(os.pread(lock, HEAD_BYTES_MAX, 0), end)
        damaged = damage(told, end, wrong)
        # Numbers that were given once are not given again, whatever became of their records.
        seq = max(told.seq, end.seq)
        opened = _Open(lock, replace(told, seq=seq, hash=end.hash), end)
        if damaged is not None:
            opened.prefix = damaged.prefix
            self._add(opened, damaged.entry)
        return opened

    def _told(self, content: bytes, end: End) -> tuple[Head, str]:
        """The head, and what is wrong with it. One that the key did not sign says nothing that counts."""
        told = Head.read(content)
        if told is None:
            return Head(), "damaged" if content else "missing"
        if told != self._wrote and not self._key.has_signed(
            told.statement(self.directory.name), told.signature, Purpose.HEAD
        ):
            return Head(), "not signed"
        if not self._is_there(told, end):
            return told, "replaced"
        return told, "put back" if told.seq < end.seq and self._is_old(told) else ""

    def _is_there(self, told: Head, end: End) -> bool:
        """Whether the record that the head names is the one that was written. That more are missing is told apart."""
        if told.seq == 0 or told.seq > end.seq:
            return True
        if told.seq == end.seq:
            return told.hash == end.hash
        # A power cut took the last head, not the records.
        there = record(self.directory, told.seq)
        return there is not None and there["hash"] == told.hash

    def _is_old(self, told: Head) -> bool:
        """Whether more is behind the head than a power cut leaves there."""
        first, last = next(records(self.directory, after=told.seq), None), next(latest(self.directory), None)
        return first is not None and last is not None and is_late(first, last)

    def _add(self, opened: _Open, entry: Entry) -> None:
        at = self._now()
        opened.add(lambda seq, previous: entry.fields(self.directory.name, seq, at, previous))

    def _checkpoint_due(self, opened: _Open) -> str:
        """Why a checkpoint is due; empty if none is."""
        if opened.seq - opened.head.checkpoint_seq >= self._settings.checkpoint_records_max:
            return "records"
        if opened.head.interval_s != self._settings.checkpoint_interval_s:
            # From then on it is another interval that `verify` may expect.
            return "interval"
        age_ms = _ms(self._now()) - opened.head.checkpoint_ms
        # Also if the clock was set back since.
        return "" if 0 <= age_ms < self._settings.checkpoint_interval_s * 1000 else "interval"

    def _sign(self, opened: _Open, why: str) -> None:
        """Adds a checkpoint: a signature over its own record, which holds the hash of all before it."""
        at, interval_s = self._now(), self._settings.checkpoint_interval_s

        def signed(seq: int, previous: str) -> dict[str, Any]:
            entry = Entry(Kind.CHECKPOINT, CHECKPOINT, why=why, detail={"interval_s": interval_s})
            fields = entry.fields(self.directory.name, seq, at, previous)
            name, signature = self._key.sign(canonical(fields), Purpose.CHECKPOINT)
            return fields | {"key": name, "signature": signature}

        line = opened.add(signed)
        opened.head = replace(opened.head, checkpoint_seq=line.seq, checkpoint_ms=_ms(at), interval_s=interval_s)

    def _rotate(self, opened: _Open) -> None:
        """Begins the next segment where this one is full. It ends with a checkpoint, so that it can go by itself."""
        if opened.end.segment is not None and opened.end.size < self._settings.segment_bytes_max:
            return
        if opened.end.segment is not None:
            self._sign(opened, "rotation")
            self._write(opened)
        path = self.directory / segment_name(opened.pending[0].seq if opened.pending else opened.seq + 1)
        os.close(open_private(path, os.O_WRONLY))
        sync_directory(self.directory)
        opened.end = End(opened.end.seq, opened.end.hash, path, 0)

    def _write(self, opened: _Open) -> None:
        """Writes and syncs what is pending; then the head."""
        if opened.end.segment is None or not opened.pending:
            return
        content = opened.prefix + b"".join(line.content for line in opened.pending)
        last = opened.pending[-1]
        # Signed first: what cannot be signed is not written.
        head = replace(opened.head, seq=last.seq, hash=last.hash).signed(self._key, self.directory.name)
        self._synced(_append(opened.end.segment, content))
        opened.head = head
        opened.prefix = b""
        opened.pending = []
        head.write(opened.lock)
        self._wrote = head


def _append(segment: Path, content: bytes) -> float:
    """How long the disk took."""
    descriptor = open_private(segment, os.O_WRONLY | os.O_APPEND)
    before = os.fstat(descriptor).st_size
    try:
        write_all(descriptor, content)
        began_s = time.perf_counter()
        os.fsync(descriptor)
        return time.perf_counter() - began_s
    except BaseException:
        # Not one of these was promised to anybody.
        os.ftruncate(descriptor, before)
        raise
    finally:
        os.close(descriptor)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
