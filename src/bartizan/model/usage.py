"""When an identity was last seen, by what it proved itself, and from where."""

from dataclasses import dataclass
from datetime import datetime

from bartizan.model.ids import IdentityName


@dataclass(frozen=True, slots=True)
class Usage:
    """The last use of one credential of an identity."""

    name: IdentityName
    last_seen_at: datetime
    credential_id: str = ""
    """Empty: none that the store keeps (a token, a certificate that was never recorded)."""
    address: str = ""
