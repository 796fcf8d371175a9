"""A finding as those who are told read it: JSON, an alert of Prometheus Alertmanager, mail, syslog."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any

from bartizan.model.finding import Kept, Severity

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
    """The body of a webhook's POST, and of a message of the broker's own."""
    return _json(_told(kept, broker))


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


def mail(kept: Kept, broker: str, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """A message to people. What a peer chose is in its text; the subject says which detector, and how bad it is."""
    finding = kept.finding
    message = EmailMessage()
    message["From"], message["To"] = sender, ", ".join(recipients)
    message["Subject"] = f"[{broker}] {finding.severity}: {finding.detector}, finding {kept.number}"
    message["Date"] = format_datetime(kept.last_at)
    message["Message-ID"] = make_msgid(f"finding-{kept.number}-{kept.count}", sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    told = [
        (name, "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)))
        for name, value in (
            ("finding", finding.text),
            ("about", f"{finding.about} {finding.name}"),
            ("severity", f"{finding.severity} (score {finding.score})"),
            ("ATT&CK ICS", finding.technique),
            ("times", f"{kept.count}, first {kept.first_at.isoformat()}, last {kept.last_at.isoformat()}"),
            ("number", f"{kept.number}: bartizan findings show {kept.number}"),
        )
        if value
    ]
    message.set_content("".join(f"{name}: {value}\n" for name, value in told))
    return message


def record(kept: Kept, broker: str) -> dict[str, Any]:
    """As sinks of the record take it."""
    finding = kept.finding
    bad = finding.severity in {Severity.HIGH, Severity.CRITICAL}
    detail = {**_told(kept, broker), "severity": "error" if bad else "warning"}
    return {"at": kept.last_at.isoformat(), "kind": "event", "what": "finding", "detail": detail}


def _told(kept: Kept, broker: str) -> dict[str, Any]:
    finding = kept.finding
    return {
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


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
