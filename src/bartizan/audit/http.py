"""Sinks by HTTPS: a signed webhook, and OpenTelemetry logs (OTLP as JSON). No redirect, no proxy of the environment."""

import hmac
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any, Final

import httpx2

from bartizan.audit.severity import severity_of
from bartizan.audit.sinks import NotDelivered
from bartizan.config.audit_sinks import OtlpSink, WebhookSink
from bartizan.config.files import read_secret_octets
from bartizan.errors import ConfigurationError

TIMESTAMP: Final = "bartizan-timestamp"
SIGNATURE: Final = "bartizan-signature"
SECRET_BYTES_MIN: Final = 32
_SEVERITIES: Final = {"info": (9, "INFO"), "warning": (13, "WARN"), "error": (17, "ERROR")}

Record = Mapping[str, Any]


class _Client:
    """POSTs to one place; whatever is not answered by 2xx in time was not delivered."""

    def __init__(self, url: str, ca_file: Path | None, deadline_s: float) -> None:
        self._url = url
        try:
            trust = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"the CA file cannot be used: {error}", str(ca_file), "name a PEM file") from None
        self._client = httpx2.Client(verify=trust, follow_redirects=False, trust_env=False, timeout=deadline_s)

    def post(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Returns when it was taken."""
        try:
            answer = self._client.post(
                self._url, content=content, headers={"content-type": "application/json", **headers}
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The error's text may hold what was sent; its kind is enough.
            raise NotDelivered(f"it cannot be reached: {type(error).__name__}") from None
        if not answer.is_success:
            raise NotDelivered(f"it answered {answer.status_code}")

    def close(self) -> None:
        """Closes connections."""
        self._client.close()


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
        self._client = _Client(settings.webhook_url, settings.ca_file, settings.deadline_s)

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`: the records as an array."""
        body = json.dumps({"records": list(records)}).encode()
        timestamp = str(int(self._clock()))
        mark = hmac.digest(self._secret, timestamp.encode() + b"." + body, "sha256").hex()
        self._client.post(body, {TIMESTAMP: timestamp, SIGNATURE: f"v1={mark}"})

    def close(self) -> None:
        """See `AuditSink`."""
        self._client.close()


class Otlp:
    """`AuditSink` of an OpenTelemetry collector."""

    def __init__(self, settings: OtlpSink) -> None:
        self._headers = _headers(settings.headers_file)
        self._client = _Client(settings.logs_url, settings.ca_file, settings.deadline_s)

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`."""
        self._client.post(json.dumps(otlp(records)).encode(), self._headers)

    def close(self) -> None:
        """See `AuditSink`."""
        self._client.close()


def otlp(records: Sequence[Record]) -> dict[str, Any]:
    """The body of an ExportLogsServiceRequest."""
    scope = {"scope": {"name": "bartizan.audit"}, "logRecords": [_log_record(each) for each in records]}
    resource = {"attributes": [_attribute("service.name", "bartizan")]}
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
        "attributes": [_attribute(f"bartizan.{key}", value) for key, value in record.items()],
    }


def _attribute(key: str, value: object) -> dict[str, Any]:
    match value:
        case bool():
            told: dict[str, Any] = {"boolValue": value}
        case int():
            told = {"intValue": str(value)}
        case str():
            told = {"stringValue": value}
        case _:
            told = {"stringValue": json.dumps(value)}
    return {"key": key, "value": told}


def _headers(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    found: dict[str, str] = {}
    for line in read_secret_octets(file, "the headers of the collector").decode(errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise ConfigurationError("a line is no header", str(file), "write it as Name: value")
        found[name.strip()] = value.strip()
    return found
