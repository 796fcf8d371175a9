"""What those who are told of a finding read, and how they know who tells it."""

import hmac
import json
from datetime import UTC, datetime

from bartizan.model.signing import signed
from bartizan.respond.alerts import alertmanager, webhook
from tests.unit.respond.test_playbooks import NOW, kept


def test_a_webhook_has_the_whole_finding() -> None:
    told = json.loads(webhook(kept(technique="T0861"), "plant-1"))
    assert told["broker"] == "plant-1"
    assert told["finding"] == {
        "number": 7,
        "detector": "topic_scan",
        "about": "identity",
        "name": "press-01",
        "severity": "high",
        "score": 70,
        "technique": "T0861",
        "text": "it scanned",
        "count": 1,
        "first_at": NOW.isoformat(),
        "last_at": "2027-01-15T08:01:00+00:00",
    }


def test_the_signature_covers_time_and_body() -> None:
    at = datetime(2026, 11, 16, tzinfo=UTC)
    headers = signed(b"body", b"k" * 32, at)
    timestamp = str(int(at.timestamp()))
    mark = hmac.digest(b"k" * 32, f"{timestamp}.body".encode(), "sha256").hex()
    assert headers == {"bartizan-timestamp": timestamp, "bartizan-signature": f"v1={mark}"}


def test_the_same_finding_is_one_alert_of_alertmanager_whatever_its_numbers() -> None:
    first, worse = (json.loads(alertmanager(each, "plant-1"))[0] for each in (kept(), kept(score=75, text="more")))
    assert (
        first["labels"]
        == worse["labels"]
        == {
            "alertname": "bartizan_topic_scan",
            "severity": "warning",
            "broker": "plant-1",
            "about": "identity",
            "name": "press-01",
        }
    )
    assert first["annotations"]["summary"] == "it scanned"
    assert (first["startsAt"], first["endsAt"]) == (NOW.isoformat(), "2027-01-15T09:01:00+00:00")
