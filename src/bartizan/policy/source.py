"""The text of a policy and where it came from: bytes -> text, and a place in it."""

from dataclasses import dataclass

SOURCE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text; both count from 1, columns in characters. `origin` is set where there are several texts."""

    line: int
    column: int
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or doubtful, in a policy's text: what, where, and how to mend it."""

    origin: str
    line: int
    column: int
    message: str
    hint: str
    code: str = ""
    """The name of the warning, as `policy lint` lists it; an error has none."""

    @property
    def place(self) -> tuple[str, int, int]:
        """What problems are sorted by: text, line, column."""
        return self.origin, self.line, self.column

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.origin}:{self.line}:{self.column}: {self.message}{hint}"


@dataclass(frozen=True, slots=True)
class Source:
    """A policy's text. `origin` names it in every message, usually a path."""

    text: str
    origin: str

    def problem(self, at: Position, message: str, hint: str = "") -> Problem:
        """A problem at this place of this text."""
        return Problem(at.origin or self.origin, at.line, at.column, message, hint)


def read(content: str | bytes, origin: str) -> Source | Problem:
    """The text of these bytes: UTF-8, as TOML demands, and of a size that a person may have written."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if len(content) > SOURCE_BYTES_MAX:
        what = f"the policy has {len(content)} octets, at most {SOURCE_BYTES_MAX} are read"
        return Problem(origin, 1, 1, what, "bind variables instead of writing one table per device")
    try:
        # A byte order mark is what some editors put before UTF-8; TOML has no word for it.
        return Source(content.decode("utf-8").removeprefix("\ufeff"), origin)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        return Problem(origin, line, column, "this is not UTF-8", "save the file as UTF-8")
