"""A finding: a suspicion that a detector derived from signals, and what people made of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class About(StrEnum):
    """What a finding is about: who did something, or to whom it is done."""

    IDENTITY = "identity"
    """An identity that has proved itself did it."""
    NETWORK = "network"
    """An address (of IPv6, its /64) did it: nobody has proved anything."""
    TARGET = "target"
    """It is done to this identity by others: never a reason to act against it."""
    BROKER = "broker"
    """All together."""


class Severity(StrEnum):
    """How much a score says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The worse, the higher."""
        return tuple(Severity).index(self)

    @classmethod
    def of(cls, score: int) -> "Severity":
        """The severity of a score, 0 to 100."""
        return next(severity for least, severity in _LEAST if score >= least)


_LEAST = ((80, Severity.CRITICAL), (60, Severity.HIGH), (40, Severity.MEDIUM), (0, Severity.LOW))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says. One about the same thing by the same detector is the same finding, found again."""

    detector: str
    about: About
    name: str
    """Of whom: an identity, an address, a network; of the broker empty."""
    score: int
    """0 to 100: how bad it is, if it is so."""
    text: str
    """One sentence, with the numbers."""
    at_s: float
    """When, Unix seconds."""
    technique: str = ""
    """Of MITRE ATT&CK for ICS, where one fits."""

    @property
    def key(self) -> tuple[str, About, str]:
        """What makes it this finding."""
        return self.detector, self.about, self.name

    @property
    def severity(self) -> Severity:
        """In a word."""
        return Severity.of(self.score)


class State(StrEnum):
    """What people made of a finding."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class Kept:
    """A finding on record."""

    number: int
    """Its name as long as it is kept; never that of another one."""
    finding: Finding
    """As it was found last, with the highest score."""
    state: State
    count: int
    """How often it was found."""
    first_at: datetime
    last_at: datetime
    by: str = ""
    """Who acknowledged it."""
    why: str = ""
    """Why it is acknowledged or muted."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, but for its times."""
        found = self.finding
        return {
            "number": self.number,
            "detector": found.detector,
            "about": str(found.about),
            "name": found.name,
            "severity": str(found.severity),
            "score": found.score,
            "technique": found.technique,
            "text": found.text,
            "count": self.count,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "state": str(self.state),
            "by": self.by,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Mute:
    """Findings that nobody wants to be told of for a while."""

    number: int
    detector: str
    about: About | None
    """With `name`, the one thing that it holds for; None for all that the detector finds."""
    name: str
    why: str
    by: str
    since: datetime
    until: datetime

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, but for its times."""
        return {
            "number": self.number,
            "detector": self.detector,
            "about": None if self.about is None else str(self.about),
            "name": self.name,
            "why": self.why,
            "by": self.by,
            "since": self.since,
            "until": self.until,
        }
