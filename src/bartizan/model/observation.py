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
    """What an identity used a rule of its roles for lately, and on which days last."""

    identity: str
    client_id: str
    """Under which it was used last."""
    rule: str
    """What the rule says, not where it stands (`policy.rule_names.fingerprints`)."""
    topic: str
    """What it was used for last: a Topic Name, or a Topic Filter."""
    last_on: date
    other_on: date | None = None
    """When it was last used for another topic, or under another Client Identifier; None: never."""

    def is_of_several(self, since: date) -> bool:
        """Whether since that day it was used for more than this."""
        return self.other_on is not None and self.other_on >= since
