"""What happened, as the log, the metrics and the audit hear it. Never holds a secret or a payload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """The kinds of event of a Network Connection and of the broker itself."""

    CONNECT = "connect"
    REFUSE = "refuse"
    DISCONNECT = "disconnect"
    DENY = "deny"
    LIMIT = "limit"
    POLICY = "policy"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `count` is above 1 when a flood of equal ones was aggregated."""

    kind: EventKind
    at: datetime
    identity: str = ""
    client_id: str = ""
    address: str = ""
    listener: str = ""
    reason: str = ""
    count: int = 1
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
