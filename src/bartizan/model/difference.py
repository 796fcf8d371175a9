"""What an import from another broker changed: each difference with its name, its weight and its place."""

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a difference matters."""

    LOST = "lost"
    """It cannot be carried over: the import is refused until the difference is accepted by name."""
    CHANGED = "changed"
    """It is carried over, and means something else here."""
    NOTED = "noted"
    """Nothing changes; it is worth knowing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same here as there. `name` is what `--allow-loss` takes."""

    weight: Weight
    name: str
    file: str
    line: int
    """0: it is about the file as a whole."""

    message: str
    effect: str = ""
    """What becomes of it here."""

    topics: str = ""
    """The filter of the topics concerned, where it is one."""

    @property
    def place(self) -> str:
        """File and line, as an editor reads them."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f"; {self.effect}" if self.effect else "")
