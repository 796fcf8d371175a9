"""A request of an operator that waits for a second one, as a store keeps it."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """One request. What it says is read by who wrote it alone: the store only keeps it."""

    id: str
    asked_at: datetime
    ends_at: datetime
    text: str = field(repr=False)
    """JSON."""
