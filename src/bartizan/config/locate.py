"""Finds the line on which a key of a TOML text stands: tomllib keeps no positions."""

import re
from collections.abc import Sequence

_TABLE = re.compile(r"\s*\[\[?([^\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line (from 1) of the key at `path`, or of the nearest table above it; None when nothing fits."""
    wanted = list(path)
    table: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _TABLE.match(line)
        key = None if header else _KEY.match(line)
        if header:
            table = here = _parts(header[1])
        elif key:
            here = table + _parts(key[1])
        else:
            continue
        # A header such as [a.b.c] is also where a and a.b begin.
        depth = min(len(here), len(wanted))
        if here[:depth] == wanted[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None
