"""One thing that `doctor` looked at, and how bad it is."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad a finding is."""

    GOOD = 0
    WARNING = 1
    DANGER = 2
    """A risk that the operator took, with a reason."""
    FAULT = 3
    """The broker cannot start, or cannot be trusted, like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {"level": self.level.name.lower(), "what": self.what, "fix": self.fix}
