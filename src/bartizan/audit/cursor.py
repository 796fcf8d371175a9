"""Reads on in a log where one left off: what `tail --follow` does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.audit.head import Head
from bartizan.audit.record import LINE_BYTES_MAX, parsed
from bartizan.audit.segments import segments


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one has read."""

    seq: int = 0
    segment: str = ""
    """Empty: nothing was read yet."""
    offset: int = 0


def read_on(directory: Path, cursor: Cursor) -> Iterator[tuple[dict[str, Any], Cursor]]:
    """The records behind the cursor that are on disk for good, each with the cursor behind it."""
    head = Head.of(directory)
    for segment in segments(directory):
        if segment.name < cursor.segment:
            continue
        with segment.open("rb") as file:
            file.seek(cursor.offset if segment.name == cursor.segment else 0)
            while line := file.readline(LINE_BYTES_MAX + 1):
                # What the head does not name yet may be taken back.
                fields = parsed(line)
                if fields is not None and head is not None and fields["seq"] > head.seq:
                    return
                if fields is not None and fields["seq"] > cursor.seq:
                    cursor = Cursor(fields["seq"], segment.name, file.tell())
                    yield fields, cursor


def near_end(directory: Path, records: int) -> Cursor:
    """A cursor before the last so many records."""
    head = Head.of(directory)
    seq = max(0, (head.seq if head else 0) - records)
    holding = [each.name for each in segments(directory) if int(each.stem) <= seq + 1]
    return Cursor(seq, holding[-1] if holding else "")
