"""The statements of a TOML text with what stands before and behind each: comments and empty lines.

A statement is a header, or a key with its value, verbatim. It is these that `format` moves about, so
that no comment is lost and no value is written anew. (A TOML library that keeps comments gives those
above a header to the table before it: moved, they would stand above the wrong one.)
"""

import re
from dataclasses import dataclass

from bartizan.policy.syntax import Locator, Path

_COMMENT = re.compile(r"[ \t]*(#[^\n]*)?")
_BLANK = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a pair: its text, the comment behind it, and the lines before it."""

    table: Path
    """The table it opens, or stands in."""
    key: str
    """Of a pair its key as written; of a header nothing."""
    text: str
    """Of a pair its value, of a header all of it."""
    behind: str
    before: tuple[str, ...]
    """Comments, and "" for empty lines between them."""

    @property
    def is_header(self) -> bool:
        """True if it opens a table."""
        return not self.key


@dataclass(frozen=True, slots=True)
class Layout:
    """All statements of a text, and the lines after the last."""

    statements: tuple[Statement, ...]
    after: tuple[str, ...]


def layout(text: str) -> Layout:
    """The statements of a text that is known to be TOML."""
    walk = _Walk(text.replace("\r\n", "\n"))
    walk.document()
    return walk.layout()


@dataclass(frozen=True, slots=True)
class _Span:
    table: Path
    begin: int
    key_end: int
    value: int
    end: int


class _Walk(Locator):
    """A locator that also keeps where each statement begins and ends."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._spans: list[_Span] = []

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def _header(self) -> None:
        begin = self._at
        super()._header()
        self._spans.append(_Span(self._table, begin, begin, begin, self._at))

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def _pair(self, table: Path) -> None:
        begin = self._at
        path = self._note_key(table, self._dotted_key())
        key_end = begin + len(self._text[begin : self._at].rstrip())
        self._advance(1)
        self._skip(_BLANK)
        value = self._at
        self._value(path)
        # The pairs of an inline table are part of its text.
        if table == self._table:
            self._spans.append(_Span(table, begin, key_end, value, self._at))

    def layout(self) -> Layout:
        """What was found."""
        statements: list[Statement] = []
        end = 0
        for span in self._spans:
            before = _lines(self._text[end : span.begin])
            text = self._text[span.value : span.end].rstrip()
            found = _COMMENT.match(self._text, span.end)
            end = found.end() if found else span.end
            behind = (found[1] or "").rstrip() if found else ""
            statements.append(Statement(span.table, self._text[span.begin : span.key_end], text, behind, before))
        return Layout(tuple(statements), _lines(self._text[end:]))


def _lines(between: str) -> tuple[str, ...]:
    """Comments and empty lines between two statements, without the line break that ends the first."""
    lines = [line.strip() for line in between.split("\n")]
    if between.startswith("\n"):
        lines = lines[1:]
    if lines and not lines[-1]:
        lines.pop()
    return tuple(line for at, line in enumerate(lines) if line or at == 0 or lines[at - 1])
