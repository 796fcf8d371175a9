"""A response: what a playbook did about a finding, would do, or waits to be allowed to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bartizan.model.finding import About


class Outcome(StrEnum):
    """What became of it."""

    OBSERVED = "observed"
    """It would have been done: the playbook only observes."""
    WAITING = "waiting"
    """An operator has to confirm it."""
    DONE = "done"
    FAILED = "failed"
    LEFT_OUT = "left_out"
    """The playbook never acts there, or has acted often enough for now."""
    DISMISSED = "dismissed"
    """An operator said no."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of one playbook to one finding."""

    number: int
    """Its name as long as it is kept; 0 where it is not kept yet."""
    finding: int
    """The number of the finding."""
    playbook: str
    action: str
    about: About
    name: str
    """Of whom: as in the finding."""
    outcome: Outcome
    text: str
    """What was done, or why not."""
    at: datetime
    by: str = ""
    """Who confirmed or dismissed it."""
