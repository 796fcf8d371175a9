"""What a broker observed of its decisions: requests of one kind, and which rules are used by whom."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Watched(StrEnum):
    """Why a request was noted."""

    DENIED = "denied"
    """The policy in force refused it."""
    DIFFERS = "differs"
    """A staged policy decides it otherwise."""
    LEARNED = "learned"
    """It was allowed, on a listener whose clients are learned from."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Requests of one kind. Which kind, `identity` to `staged_rule` say; the rest is the last or the most of them."""

    number: int
    """Its name as long as it is kept; never that of another one."""
    watched: Watched
    identity: str
    client_id: str
    action: str
    """`publish`, `subscribe`, `receive` or `will`."""
    topic: str
    """A Topic Name, or a Topic Filter if the action is to subscribe."""
    rule: str
    """The rule that decided; empty where none did."""
    why: str
    staged_rule: str
    staged_why: str
    listener: str
    """Empty where nobody was connected."""
    qos: int
    retain: bool
    bytes: int
    count: int
    """How often it was noted: what is allowed and goes on is counted once in some seconds."""
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RuleUse:
    """What an identity used a rule of its roles for, and on which days first and last."""

    identity: str
    rule: str
    topic: str
    """What it was used for first."""
    several: bool
    """Whether it was used for other topics as well."""
    first_on: date
    last_on: date
