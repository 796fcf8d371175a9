"""The files of a log: segments named by their first record. Beside them lies the head, which says how far the log goes.

DIRECTORY/
  000000000001.jsonl   records 1 and following, a line each
  000000004711.jsonl   the next segment
  head                 the last record, signed; locked by whoever appends
"""

import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from bartizan.audit.record import GENESIS, LINE_BYTES_MAX, parsed

CHANGES: Final = "changes"
EVENTS: Final = "events"
LOGS: Final = (CHANGES, EVENTS)
"""The logs, below the directory of the audit."""

LOCK_TIMEOUT_S: Final = 10.0
"""How long one that appends waits for another."""

LOCK_PAUSE_S: Final = 0.002
SUFFIX = ".jsonl"
PRIVATE = 0o600
DIRECTORY = 0o700
_DIGITS = 12
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class End:
    """Where a log ends: its last record, and what lies behind that."""

    seq: int
    hash: str
    segment: Path | None
    """None: there is none yet."""
    size: int
    """Octets up to the end of the last record."""
    behind: int = 0
    """Octets behind it that are no record."""


def segments(directory: Path) -> list[Path]:
    """The segments, the oldest first."""
    try:
        return sorted(file for file in directory.iterdir() if file.suffix == SUFFIX and file.stem.isdigit())
    except FileNotFoundError:
        return []


def segment_name(seq: int) -> str:
    """The name of the segment that begins with this record."""
    return f"{seq:0{_DIGITS}}{SUFFIX}"


def end_of(directory: Path) -> End:
    """Where a log ends."""
    newest: Path | None = None
    for segment in reversed(segments(directory)):
        newest = newest or segment
        end = _end_in(segment)
        # A crash may have left the next segment empty: the record before it is in the one before.
        if end.seq and segment == newest:
            return end
        if end.seq:
            return End(end.seq, end.hash, newest, 0, newest.stat().st_size)
    return End(0, GENESIS, newest, 0, newest.stat().st_size if newest else 0)


def lines_of(segment: Path, offset: int = 0) -> Iterator[bytes]:
    """Its lines from there on; what is longer than any line comes in pieces."""
    with segment.open("rb") as file:
        file.seek(offset)
        while line := file.readline(LINE_BYTES_MAX + 1):
            yield line


def lines_backwards(segment: Path) -> Iterator[bytes]:
    """Its lines, the last one first; what is longer than any line comes in pieces."""
    with segment.open("rb") as file:
        at, rest = file.seek(0, os.SEEK_END), b""
        while at:
            begin = max(0, at - _BLOCK_BYTES)
            file.seek(begin)
            lines = BytesIO(file.read(at - begin) + rest).readlines()
            at = begin
            # The first one may begin before the block.
            rest = lines.pop(0) if at and len(lines[0]) <= LINE_BYTES_MAX else b""
            yield from reversed(lines)


def last_line(segment: Path) -> bytes:
    """Its last line, or what stands in its place."""
    size = segment.stat().st_size
    with segment.open("rb") as file:
        for reach in (8 * 1024, LINE_BYTES_MAX + 1):
            file.seek(max(0, size - reach))
            content = file.read(reach)
            begin = content.rfind(b"\n", 0, -1) + 1
            if begin or reach >= size:
                return content[begin:]
    return b""


def make_directory(path: Path) -> None:
    """Makes it, for its owner alone; what root makes belongs to whom the place belongs to."""
    if path.is_dir():
        return
    path.mkdir(mode=DIRECTORY, exist_ok=True)
    _hand_over(path)
    sync_directory(path.parent)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file that only its owner may read; made if need be."""
    is_new = not path.exists()
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    if is_new:
        _hand_over(path)
    return descriptor


def write_private(path: Path, content: bytes) -> None:
    """A new file, whole or not at all; `FileExistsError` if there is one."""
    room = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = open_private(room, os.O_WRONLY | os.O_TRUNC)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
        os.link(room, path)
    finally:
        os.close(descriptor)
        room.unlink()
    sync_directory(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """A file in place of the one that is there: whole or not at all, also through a power cut."""
    room = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = open_private(room, os.O_WRONLY | os.O_TRUNC)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
        room.rename(path)
    finally:
        os.close(descriptor)
        room.unlink(missing_ok=True)


def write_all(descriptor: int, content: bytes) -> None:
    """All of it: a write may stop short."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_directory(path: Path) -> None:
    """Makes a new name in it last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_alone(descriptor: int) -> None:
    """Returns once nobody else holds the lock of this file; `BlockingIOError` if that takes too long."""
    ends = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
            time.sleep(LOCK_PAUSE_S)
        else:
            return


def _end_in(segment: Path) -> End:
    size = segment.stat().st_size
    if fields := parsed(last_line(segment)):
        return End(fields["seq"], fields["hash"], segment, size)
    # Something is behind the last record, or in its place: from the beginning on.
    end, offset = End(0, GENESIS, segment, 0, size), 0
    for line in lines_of(segment):
        offset += len(line)
        if fields := parsed(line):
            end = End(fields["seq"], fields["hash"], segment, offset, size - offset)
    return end


def _hand_over(path: Path) -> None:
    owner = path.parent.stat()
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (0, 0):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
