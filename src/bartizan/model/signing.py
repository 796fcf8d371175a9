"""How whoever gets a POST of the broker's knows who sent it, and when: a shared secret signs time and body.

One way for all of them, in docs/reference/webhook.md: the service that is asked about a CONNECT, who is told of a
finding, and a sink of the record.
"""

import hmac
from datetime import datetime
from typing import Final

TIMESTAMP: Final = "bartizan-timestamp"
SIGNATURE: Final = "bartizan-signature"
SECRET_BYTES_MIN: Final = 32


def mark(secret: bytes, *pieces: bytes) -> str:
    """The signature of these pieces, as a header has it."""
    return f"v1={hmac.digest(secret, b'.'.join(pieces), 'sha256').hex()}"


def signed(body: bytes, secret: bytes, at: datetime) -> dict[str, str]:
    """The headers of a POST."""
    timestamp = str(int(at.timestamp()))
    return {TIMESTAMP: timestamp, SIGNATURE: mark(secret, timestamp.encode(), body)}
