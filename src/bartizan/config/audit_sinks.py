"""`[audit.sinks.NAME]`: where the record goes beside its own files."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.outside import require_https
from bartizan.config.words import Reason
from bartizan.errors import InvalidValue
from bartizan.model.topics import TopicName

LogName = Literal["changes", "events"]
_SECTION = ConfigDict(frozen=True, extra="forbid")


def _parse_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:  # noqa: PLR2004
        raise ValueError("an address is HOST:PORT, such as siem.example:6514")
    return text


def _parse_topic(text: str) -> str:
    try:
        return TopicName.parse(text)
    except InvalidValue as error:
        raise ValueError(str(error)) from None


Address = Annotated[str, AfterValidator(_parse_address)]


class _Sink(BaseModel):
    """What every sink has."""

    model_config = _SECTION

    logs: tuple[LogName, ...] = Field(
        ("changes", "events"), min_length=1, max_length=2, description="Which logs it gets."
    )
    batch_max: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        200, description="Records handed over at once."
    )


class FileSink(_Sink):
    """Lines appended to a file, as they are kept: for a collector on the same machine."""

    kind: Literal["file"] = Field(description="A file.")
    file: Path = Field(description="The file; made, readable by its owner only, if there is none.")

    PATHS: ClassVar[tuple[str, ...]] = ("file",)


class SyslogSink(_Sink):
    """Syslog over TLS (RFC 5425), each record a message of RFC 5424 with the record as JSON."""

    kind: Literal["syslog"] = Field(description="Syslog over TLS.")
    address: Address = Field(description="HOST:PORT of the collector; its certificate has to be for that host.")
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) that it is verified by. Default: the system's."
    )
    certificate_file: Path | None = Field(None, description="Client certificate (PEM), with key_file.")
    key_file: Path | None = Field(None, description="Its key.")
    deadline_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="For a connection, and for a write.")

    PATHS: ClassVar[tuple[str, ...]] = ("ca_file", "certificate_file", "key_file")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self


class WebhookSink(_Sink):
    """A signed POST of JSON to a service of your own."""

    kind: Literal["webhook"] = Field(description="A signed POST.")
    webhook_url: str = Field(description="URL (https) of the service.")
    secret_file: Path = Field(description="File of the secret that signs, 32 octets at least; nobody else may read it.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the service. Default: the system's.")
    deadline_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="For a whole request.")
    danger_plaintext_sink: Reason | None = Field(
        None,
        description="Allows a webhook_url of http; the value is the reason. Whoever is on the way reads every record.",
    )

    PATHS: ClassVar[tuple[str, ...]] = ("secret_file", "ca_file")

    @model_validator(mode="after")
    def _https(self) -> Self:
        require_https(self.webhook_url, self.danger_plaintext_sink, "webhook_url", "danger_plaintext_sink")
        return self


class OtlpSink(_Sink):
    """OpenTelemetry logs: OTLP over HTTP, as JSON."""

    kind: Literal["otlp"] = Field(description="OpenTelemetry logs.")
    logs_url: str = Field(description="URL (https) of the collector, such as https://otel.example:4318/v1/logs.")
    headers_file: Path | None = Field(
        None, description="File of further headers, `Name: value` a line, such as a token; nobody else may read it."
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the collector. Default: the system's.")
    deadline_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="For a whole request.")
    danger_plaintext_sink: Reason | None = Field(
        None,
        description="Allows a logs_url of http; the value is the reason. Whoever is on the way reads every record.",
    )

    PATHS: ClassVar[tuple[str, ...]] = ("headers_file", "ca_file")

    @model_validator(mode="after")
    def _https(self) -> Self:
        require_https(self.logs_url, self.danger_plaintext_sink, "logs_url", "danger_plaintext_sink")
        return self


class MqttSink(_Sink):
    """A topic of an MQTT broker, this one or another: each record a message of QoS 1, as JSON."""

    kind: Literal["mqtt"] = Field(description="A topic of an MQTT broker.")
    address: Address = Field(description="HOST:PORT of the broker; its certificate has to be for that host.")
    topic: Annotated[str, AfterValidator(_parse_topic)] = Field(description="The Topic Name, such as audit/plant-7.")
    client_id: str = Field(
        "", max_length=256, description="The Client Identifier. Default: the broker assigns one at each connection."
    )
    user_name: str | None = Field(None, min_length=1, max_length=256, description="User Name, with password_file.")
    password_file: Path | None = Field(None, description="File of the Password; nobody else may read it.")
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) that the broker is verified by. Default: the system's."
    )
    certificate_file: Path | None = Field(None, description="Client certificate (PEM), with key_file.")
    key_file: Path | None = Field(None, description="Its key.")
    deadline_s: Annotated[float, Field(gt=0, le=300)] = Field(
        10.0, description="For a connection, and for the acknowledgements of what is handed over at once."
    )
    danger_plaintext_sink: Reason | None = Field(
        None, description="Goes without TLS; the value is the reason. Whoever is on the way reads every record."
    )

    PATHS: ClassVar[tuple[str, ...]] = ("password_file", "ca_file", "certificate_file", "key_file")

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if (self.user_name is None) != (self.password_file is None):
            raise ValueError("user_name and password_file go together")
        return self


SinkSettings = Annotated[FileSink | SyslogSink | WebhookSink | OtlpSink | MqttSink, Field(discriminator="kind")]

SINK_KINDS: dict[str, type[_Sink]] = {
    "file": FileSink,
    "syslog": SyslogSink,
    "webhook": WebhookSink,
    "otlp": OtlpSink,
    "mqtt": MqttSink,
}
"""Every kind there is."""
