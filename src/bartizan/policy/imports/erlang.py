"""The terms of Erlang that a configuration is written in: tuples, lists, atoms, texts, whole numbers.

`file:consult` reads more (floats, maps, characters, funs); no acl.conf means anything by it, so it is refused with its
line. Comments run from `%` to the end of the line, and every term ends with a full stop.
"""

import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from bartizan.policy.imports.imported import UnreadableLine

DEPTH_MAX = 32
"""Brackets in brackets; a rule needs five."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A word: `allow`, `'and'`."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string or a binary."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number."""

    value: int
    line: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """`{a, b}`."""

    items: "tuple[Term, ...]"
    line: int


@dataclass(frozen=True, slots=True)
class List:
    """`[a, b]`."""

    items: "tuple[Term, ...]"
    line: int


Term: TypeAlias = Atom | Text | Number | Tuple | List

_BLANK = re.compile(r"(?:\s|%[^\n]*)*")
_ATOM = re.compile(r"[a-z][A-Za-z0-9_@]*")
_NUMBER = re.compile(r"-?[0-9]+(?![.#eE0-9_])")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\\n]|\\.)*)'")
_BINARY = re.compile(r'<<\s*"((?:[^"\\]|\\.)*)"\s*(?:/\s*utf8\s*)?>>', re.DOTALL)
_STOP = re.compile(r"\.(?=\s|%|\Z)")
_ESCAPE = re.compile(r"\\(x\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|\^.|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "s": " ", "d": "\x7f"}
_CLOSE = {"{": "}", "[": "]"}


def read_terms(content: bytes, name: str) -> list[Term]:
    """The terms of a file, in its order; `UnreadableLine` for the first that is none."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableLine("this is not UTF-8", name, line, "save the file as UTF-8") from None
    return _Reader(text, name).terms()


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0
        self._depth = 0

    def terms(self) -> list[Term]:
        """All of them."""
        found: list[Term] = []
        self._skip()
        while self._at < len(self._text):
            found.append(self._term())
            self._skip()
            if self._take(_STOP) is None:
                self._wrong("a term does not end here with a full stop", "write {allow, all}.")
            self._skip()
        return found

    def _term(self) -> Term:
        line = self._line()
        if self._peek() in _CLOSE:
            return self._bracketed(line)
        if (found := self._take(_BINARY) or self._take(_STRING)) is not None:
            self._refuse_second_string()
            return Text(self._unescaped(found[1]), line)
        if (found := self._take(_QUOTED)) is not None:
            return Atom(self._unescaped(found[1]), line)
        if (found := self._take(_ATOM)) is not None:
            return Atom(found[0], line)
        if (found := self._take(_NUMBER)) is not None:
            return Number(int(found[0]), line)
        return self._wrong("no term begins here", 'terms are {tuples}, [lists], atoms, "texts" and whole numbers')

    def _bracketed(self, line: int) -> Term:
        opening = self._peek()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._wrong("brackets are nested too deep", f"{DEPTH_MAX} are read")
        self._at += 1
        items: list[Term] = []
        self._skip()
        while self._peek() != _CLOSE[opening]:
            if items:
                if self._peek() != ",":
                    self._wrong(f"a comma or {_CLOSE[opening]} is missing", f"the {opening} stands in line {line}")
                self._at += 1
                self._skip()
            items.append(self._term())
            self._skip()
        self._at += 1
        self._depth -= 1
        return Tuple(tuple(items), line) if opening == "{" else List(tuple(items), line)

    def _refuse_second_string(self) -> None:
        """Erlang joins strings that follow each other; in a list that is a forgotten comma."""
        self._skip()
        if self._peek() == '"':
            self._wrong("a text follows a text", "put a comma between them")

    def _unescaped(self, text: str) -> str:
        return _ESCAPE.sub(self._escaped, text)

    def _escaped(self, found: re.Match[str]) -> str:
        code = found[1]
        if code.startswith("x"):
            return self._character(int(code[1:].strip("{}"), 16))
        if code[0] in "01234567":
            return self._character(int(code, 8))
        if code.startswith("^"):
            return self._character(ord(code[1]) & 0x1F)
        return _ESCAPES.get(code, code)

    def _character(self, code: int) -> str:
        try:
            return chr(code).encode().decode()
        except (ValueError, UnicodeEncodeError):
            return self._wrong(f"there is no character {code:#x}", "write the character itself")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _skip(self) -> None:
        self._take(_BLANK)

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _wrong(self, what: str, fix: str) -> NoReturn:
        raise UnreadableLine(what, self._name, self._line(), fix)
