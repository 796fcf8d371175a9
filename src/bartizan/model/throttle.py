"""A throttle: an identity publishes more slowly for a while than its roles would let it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bartizan.errors import InvalidValue
from bartizan.model.ids import IdentityName, parse_remark

THROTTLES_MAX: Final = 10_000
"""Of one store: further ones are refused."""

RATE_MAX: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Throttle:
    """One throttle."""

    identity: str
    messages_per_s: int
    """0 leaves it as it is."""
    bytes_per_s: int
    """The same."""
    until: datetime
    reason: str = ""
    by: str = ""

    def holds(self, at: datetime) -> bool:
        """Whether it is not over."""
        return at < self.until

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "identity": self.identity,
            "messages_per_s": self.messages_per_s,
            "bytes_per_s": self.bytes_per_s,
            "until": self.until.isoformat(),
            "reason": self.reason,
            "by": self.by,
        }


def new_throttle(
    identity: str, *, messages_per_s: int = 0, bytes_per_s: int = 0, until: datetime, reason: str = "", by: str = ""
) -> Throttle:
    """A throttle from plain words; `InvalidValue` for what is none."""
    rates = (messages_per_s, bytes_per_s)
    if not any(rates) or not all(0 <= rate <= RATE_MAX for rate in rates):
        raise InvalidValue(f"a throttle is messages per second, octets per second, or both: 1 to {RATE_MAX}")
    return Throttle(str(IdentityName.parse(identity)), *rates, until, parse_remark(reason), by)
