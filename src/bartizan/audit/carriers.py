"""Settings of sinks -> carriers. Each kind is imported when it is wanted."""

from collections.abc import Mapping
from pathlib import Path

from bartizan.audit.sinks import AuditSink, Carrier, FileLines, Missed, Tell, unheard
from bartizan.config.audit_sinks import FileSink, MqttSink, OtlpSink, SinkSettings, SyslogSink, WebhookSink


def carriers_of(
    directory: Path, sinks: Mapping[str, SinkSettings], tell: Tell, missed: Missed = unheard
) -> list[Carrier]:
    """A carrier for each; `ConfigurationError` for a file of theirs that cannot be used."""
    return [
        Carrier(name, _sink(settings), directory, settings.logs, settings.batch_max, tell, missed=missed)
        for name, settings in sorted(sinks.items())
    ]


def _sink(settings: SinkSettings) -> AuditSink:
    match settings:
        case FileSink():
            return FileLines(settings.file)
        case SyslogSink():
            from bartizan.audit.syslog import Syslog  # noqa: PLC0415

            return Syslog(settings)
        case WebhookSink():
            from bartizan.audit.http import Webhook  # noqa: PLC0415

            return Webhook(settings)
        case OtlpSink():
            from bartizan.audit.http import Otlp  # noqa: PLC0415

            return Otlp(settings)
        case MqttSink():
            from bartizan.audit.mqtt import MqttTopic  # noqa: PLC0415

            return MqttTopic(settings)
