"""Reading typed fields of a tree, and gathering what is wrong with them."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

from bartizan.errors import InvalidValue
from bartizan.model.ids import RoleName
from bartizan.policy.contract import Pattern, PatternError
from bartizan.policy.source import Position, Problem
from bartizan.policy.syntax import Path, Tree

T = TypeVar("T")


class Reader:
    """Reads the fields of one tree. Every wrong one is noted, so that all are told at once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: list[Problem] = []

    def at(self, path: Path) -> Position:
        """Where this path stands."""
        return self.tree.at(path)

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem at this path's key, or at its value if it is a list's entry."""
        self.problems.append(self.tree.problem(self.tree.at(path), message, hint))

    def wrong_value(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem at this path's value."""
        self.problems.append(self.tree.problem(self.tree.value_at(path), message, hint))

    def refuse_unknown(self, path: Path, body: Mapping[str, object], known: Collection[str]) -> None:
        """Notes every key that is not one of these."""
        for key in body:
            if key not in known:
                hint = self.did_you_mean(key, known) or f"known are {', '.join(sorted(known))}"
                self.wrong((*path, key), f"unknown key {key}", hint)

    @staticmethod
    def did_you_mean(word: str, known: Collection[str]) -> str:
        """A hint if one of these is nearly this word."""
        close = get_close_matches(word, known, n=1)
        return f"did you mean {close[0]}?" if close else ""

    def table(self, path: Path, value: object) -> Mapping[str, object]:
        """This table; empty, and a problem, if it is none."""
        if isinstance(value, dict):
            return value
        self.wrong_value(path, f"{path[-1]} is a table")
        return {}

    def entries(self, path: Path, value: object) -> list[object]:
        """This list; empty, and a problem, if it is none."""
        if isinstance(value, list):
            return value
        self.wrong_value(path, f"{path[-1]} is a list", 'write it as ["one", "two"]')
        return []

    def text(self, path: Path, body: Mapping[str, object], default: str = "") -> str:
        """This text."""
        return self._typed(path, body, str, default, 'a text: "..."')

    def flag(self, path: Path, body: Mapping[str, object], *, default: bool) -> bool:
        """This true or false."""
        return self._typed(path, body, bool, default, "true or false")

    def whole(self, path: Path, body: Mapping[str, object], default: int, bounds: tuple[int, int]) -> int:
        """This whole number within its bounds."""
        low, high = bounds
        value = body.get(str(path[-1]), default)
        # In Python a bool is an int; in a policy it is not.
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.wrong_value(path, f"{path[-1]} is a whole number from {low} to {high}")
        return default

    def role_names(self, path: Path, body: Mapping[str, object]) -> tuple[str, ...]:
        """This list of role names."""
        key = str(path[-1])
        names: list[str] = []
        for index, name in enumerate(self.entries(path, body.get(key, []))):
            place = (*path, index)
            if self.role_name(place, name):
                if name in names:
                    self.wrong_value(place, f"role {name} is there twice", "remove one of them")
                names.append(str(name))
        return tuple(names)

    def role_name(self, path: Path, name: object) -> bool:
        """True if this is a role's name."""
        if not isinstance(name, str):
            self.wrong(path, "a role's name is a text", '["press"]')
            return False
        try:
            RoleName.parse(name)
        except InvalidValue as error:
            self.wrong(path, str(error), "")
            return False
        return True

    def pattern(self, path: Path, text: str, place: Callable[[Path, str, str], None]) -> Pattern | None:
        """The pattern of this text, or a problem at `place`."""
        try:
            return Pattern.parse(text)
        except PatternError as error:
            place(path, error.message, error.hint)
            return None

    def _typed(self, path: Path, body: Mapping[str, object], kind: type[T], default: T, name: str) -> T:
        value = body.get(str(path[-1]), default)
        if isinstance(value, kind):
            return value
        self.wrong_value(path, f"{path[-1]} is {name}")
        return default
