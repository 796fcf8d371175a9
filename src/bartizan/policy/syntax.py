"""TOML with a place for every key and value.

`tomllib` says what the text means, but not where: a rule broken by the third entry of a list is
to be told with its line and column. `Locator` walks the same text, already known to be TOML, and
only notes where each path begins. A property test holds the two to the same set of paths.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bartizan.policy.source import Position, Problem, Source

Path: TypeAlias = tuple[str | int, ...]
Toml: TypeAlias = object

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
# The longest first: a multi-line delimiter begins with a single-line one.
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL),
    re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_AT = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text: its values, and where each of them stands."""

    source: Source
    root: Mapping[str, Toml]
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    sources: tuple[Source, ...] = ()
    """All texts, where it was merged of several."""
    schemas: Mapping[str, bytes] = field(default_factory=dict)
    """The files that its payloads name, by their places."""

    def at(self, path: Path) -> Position:
        """Where this path's key stands, or its value if it is a list's entry; else its parent's."""
        while path:
            for places in (self.keys, self.values):
                if path in places:
                    return places[path]
            path = path[:-1]
        return Position(1, 1)

    def value_at(self, path: Path) -> Position:
        """Where this path's value begins; else where its key stands."""
        return self.values.get(path) or self.at(path)

    def problem(self, at: Position, message: str, hint: str = "") -> Problem:
        """A problem at this place."""
        return self.source.problem(at, message, hint)


def parse(source: Source) -> Tree | Problem:
    """The tree of this text, or the first place where it is no TOML."""
    try:
        root = tomllib.loads(source.text)
        locator = Locator(source.text.replace("\r\n", "\n"))
        locator.document()
    except ValueError as error:  # TOMLDecodeError is one; a number of 5,000 digits is another
        return _syntax_problem(source, str(error))
    except RecursionError:
        return source.problem(Position(1, 1), "lists and tables are nested too deep")
    return Tree(source, root, locator.keys, locator.values)


def _syntax_problem(source: Source, message: str) -> Problem:
    found = _AT.match(message)
    if found and found[2]:
        return source.problem(Position(int(found[2]), int(found[3])), found[1], "")
    lines = source.text.split("\n")
    end = Position(len(lines), len(lines[-1]) + 1)
    return source.problem(end, found[1] if found else message, "")


class Locator:
    """Notes where every key and value of a valid TOML text stands."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._table: Path = ()
        self._array_lengths: dict[Path, int] = {}

    def document(self) -> None:
        """Walks the whole text."""
        self._skip(_BLANK_LINES)
        while self._at < len(self._text):
            if self._peek() == "[":
                self._header()
            else:
                self._pair(self._table)
            self._skip(_BLANK_LINES)

    def _header(self) -> None:
        is_array = self._text.startswith("[[", self._at)
        self._advance(2 if is_array else 1)
        parts = self._dotted_key()
        self._table = self._note_key((), parts)
        if is_array:
            count = self._array_lengths.get(self._table, 0)
            self._array_lengths[self._table] = count + 1
            self.keys[*self._table, count] = self.keys[self._table] if count == 0 else parts[-1][1]
            self._table = (*self._table, count)
        self._advance(2 if is_array else 1)

    def _pair(self, table: Path) -> None:
        path = self._note_key(table, self._dotted_key())
        self._advance(1)
        self._skip(_BLANK)
        self._value(path)

    def _dotted_key(self) -> list[tuple[str, Position]]:
        parts: list[tuple[str, Position]] = []
        while True:
            self._skip(_BLANK)
            begin, place = self._at, self._position()
            if self._peek() in "\"'":
                self._string()
                raw = self._text[begin : self._at]
                # One reading of escapes, tomllib's.
                parts.append((next(iter(tomllib.loads(f"{raw}=0"))), place))
            else:
                self._skip(_BARE_KEY)
                parts.append((self._text[begin : self._at], place))
            self._skip(_BLANK)
            if self._peek() != ".":
                return parts
            self._advance(1)

    def _note_key(self, table: Path, parts: list[tuple[str, Position]]) -> Path:
        path = table
        for index, (name, place) in enumerate(parts):
            path = (*path, name)
            self.keys.setdefault(path, place)
            # Below `[[a]]`, `[a.b]` means the last table of the array.
            if path in self._array_lengths and index < len(parts) - 1:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _value(self, path: Path) -> None:
        self.values[path] = self._position()
        match self._peek():
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_SCALAR)
        if self.values[path] == self._position():
            self._advance(1)

    def _list(self, path: Path) -> None:
        self._advance(1)
        self._skip(_BLANK_LINES)
        index = 0
        while self._peek() not in "]\0":
            self._value((*path, index))
            index += 1
            self._skip(_BLANK_LINES)
            if self._peek() == ",":
                self._advance(1)
                self._skip(_BLANK_LINES)
        self._advance(1)

    def _inline_table(self, path: Path) -> None:
        self._advance(1)
        self._skip(_BLANK)
        while self._peek() not in "}\0":
            self._pair(path)
            self._skip(_BLANK)
            if self._peek() == ",":
                self._advance(1)
                self._skip(_BLANK)
        self._advance(1)

    def _string(self) -> None:
        for pattern in _STRINGS:
            if pattern.match(self._text, self._at):
                self._skip(pattern)
                return
        self._advance(1)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found:
            self._advance(found.end() - self._at)

    def _advance(self, count: int) -> None:
        passed = self._text[self._at : self._at + count]
        if "\n" in passed:
            self._line += passed.count("\n")
            self._line_start = self._at + passed.rfind("\n") + 1
        self._at += count

    def _peek(self) -> str:
        # TOML forbids NUL, so it can stand for the end.
        return self._text[self._at] if self._at < len(self._text) else "\0"

    def _position(self) -> Position:
        return Position(self._line, self._at - self._line_start + 1)
