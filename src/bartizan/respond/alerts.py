"""A finding as those who are told read it: JSON with a signature, or an alert of Prometheus Alertmanager."""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bartizan.model.finding import Kept, Severity

TIMESTAMP = "bartizan-timestamp"
SIGNATURE = "bartizan-signature"
SECRET_BYTES_MIN = 32

ENDS_AFTER = timedelta(hours=1)
"""An alert of Alertmanager is over so long after the finding was found last."""

_SEVERITIES: Mapping[Severity, str] = {
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "warning",
    Severity.CRITICAL: "critical",
}
"""In the words that routes of Alertmanager are usually written with."""


def webhook(kept: Kept, broker: str) -> bytes:
    """The body of a webhook's POST."""
    finding = kept.finding
    return _json(
        {
            "broker": broker,
            "finding": {
                "number": kept.number,
                "detector": finding.detector,
                "about": str(finding.about),
                "name": finding.name,
                "severity": str(finding.severity),
                "score": finding.score,
                "technique": finding.technique,
                "text": finding.text,
                "count": kept.count,
                "first_at": kept.first_at.isoformat(),
                "last_at": kept.last_at.isoformat(),
            },
        }
    )


def alertmanager(kept: Kept, broker: str) -> bytes:
    """The body of a POST to `/api/v2/alerts`. The same finding has the same labels, so that it is one alert."""
    finding = kept.finding
    return _json(
        [
            {
                "labels": {
                    "alertname": f"bartizan_{finding.detector}",
                    "severity": _SEVERITIES[finding.severity],
                    "broker": broker,
                    "about": str(finding.about),
                    "name": finding.name,
                },
                "annotations": {
                    "summary": finding.text,
                    "finding": str(kept.number),
                    "score": str(finding.score),
                    "technique": finding.technique,
                },
                "startsAt": kept.first_at.isoformat(),
                "endsAt": (kept.last_at + ENDS_AFTER).isoformat(),
            }
        ]
    )


def signed(body: bytes, secret: bytes, at: datetime) -> dict[str, str]:
    """The headers by which whoever is told knows who tells it, and when: the signature covers time and body."""
    timestamp = str(int(at.astimezone(UTC).timestamp()))
    mark = hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()
    return {TIMESTAMP: timestamp, SIGNATURE: f"v1={mark}"}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
