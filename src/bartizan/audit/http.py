"""Sinks by HTTPS: a signed webhook, and OpenTelemetry logs (OTLP as JSON). No redirect, no proxy of the environment."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any, Final

from bartizan.audit.posting import Poster, headers_of, otlp_attribute
from bartizan.audit.severity import severity_of
from bartizan.config.audit_sinks import OtlpSink, WebhookSink
from bartizan.config.files import read_secret_octets
from bartizan.errors import ConfigurationError
from bartizan.model.signing import SECRET_BYTES_MIN, signed

_SEVERITIES: Final = {"info": (9, "INFO"), "warning": (13, "WARN"), "error": (17, "ERROR")}

Record = Mapping[str, Any]


class Webhook:
    """`AuditSink` of a service of the operator's own, signed as the webhook of accounts is."""

    def __init__(self, settings: WebhookSink, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._secret = read_secret_octets(settings.secret_file, "the secret of the webhook")
        if len(self._secret) < SECRET_BYTES_MIN:
            raise ConfigurationError(
                f"the secret of the webhook is shorter than {SECRET_BYTES_MIN} bytes",
                str(settings.secret_file),
                "make a longer one: openssl rand -hex 32",
            )
        self._client = Poster(settings.webhook_url, settings.ca_file, settings.deadline_s)

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`: the records as an array."""
        body = json.dumps({"records": list(records)}).encode()
        self._client.post(body, signed(body, self._secret, datetime.fromtimestamp(self._clock(), UTC)))

    def close(self) -> None:
        """See `AuditSink`."""
        self._client.close()


class Otlp:
    """`AuditSink` of an OpenTelemetry collector."""

    def __init__(self, settings: OtlpSink) -> None:
        self._headers = headers_of(settings.headers_file)
        self._client = Poster(settings.logs_url, settings.ca_file, settings.deadline_s)

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`."""
        self._client.post(json.dumps(otlp(records)).encode(), self._headers)

    def close(self) -> None:
        """See `AuditSink`."""
        self._client.close()


def otlp(records: Sequence[Record]) -> dict[str, Any]:
    """The body of an ExportLogsServiceRequest."""
    scope = {"scope": {"name": "bartizan.audit"}, "logRecords": [_log_record(each) for each in records]}
    resource = {"attributes": [otlp_attribute("service.name", "bartizan")]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}


def _log_record(record: Record) -> dict[str, Any]:
    at = datetime.fromisoformat(record["at"])
    number, word = _SEVERITIES[severity_of(record)]
    return {
        "timeUnixNano": str(int(at.timestamp() * 1000) * 1_000_000),
        "severityNumber": number,
        "severityText": word,
        "eventName": record["what"],
        "body": {"stringValue": " ".join(str(record[key]) for key in ("what", "target", "why") if key in record)},
        "attributes": [otlp_attribute(f"bartizan.{key}", value) for key, value in record.items()],
    }
