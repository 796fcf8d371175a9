"""`[alerts.NAME]`: who is told of findings, and by which way."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bartizan.config.audit_sinks import Address
from bartizan.config.outside import require_https
from bartizan.config.words import Reason

Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+([/?][^#\s]*)?$", max_length=2_048)]
Mailbox = Annotated[str, Field(pattern=r"^[^\s@<>,;:\"\\()\[\]]+@[A-Za-z0-9.-]+$", max_length=254)]
Deadline = Annotated[float, Field(gt=0, le=60)]


class WebAlert(BaseModel):
    """A POST: signed JSON to a service of your own, or an alert to Prometheus Alertmanager. What is sent is in [responses](responses.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    PATHS: ClassVar[tuple[str, ...]] = ("secret_file", "ca_file")

    kind: Literal["webhook", "alertmanager"] = Field(
        description="`webhook`: a POST of JSON, signed. `alertmanager`: Prometheus Alertmanager's `/api/v2/alerts`."
    )
    alert_url: Url = Field(description='Where it is sent, such as "https://alarm.example/bartizan".')
    secret_file: Path | None = Field(
        None,
        description="File with the secret, 32 octets or more, by which a webhook's POST is signed; its owner's alone.",
    )
    ca_file: Path | None = Field(None, description="CA of its certificate. Default: the system's CAs.")
    deadline_s: Deadline = Field(5.0, description="Time for one answer.")
    danger_plaintext_alert: Reason | None = Field(
        None, description="Allows `alert_url` without TLS; the value is the reason. Everyone on the way reads findings."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_https(self.alert_url, self.danger_plaintext_alert, "alert_url", "danger_plaintext_alert")
        if self.kind == "webhook" and self.secret_file is None:
            raise ValueError("a webhook needs secret_file: whoever is told must know who tells it")
        if self.kind == "alertmanager" and self.secret_file is not None:
            raise ValueError("Alertmanager reads no signature: remove secret_file")
        return self


class EmailAlert(BaseModel):
    """A message by SMTP, over TLS."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    PATHS: ClassVar[tuple[str, ...]] = ("password_file", "ca_file")

    kind: Literal["email"] = Field(description="A message by SMTP.")
    address: Address = Field(description='HOST:PORT of the mail server, such as "mail.example:587".')
    tls: Literal["starttls", "implicit"] = Field(
        "starttls",
        description="`starttls`: TLS begins by STARTTLS (port 587), and nothing is sent where it does not. `implicit`: at once (465).",
    )
    sender: Mailbox = Field(description='Who it is from, such as "bartizan@plant.example".')
    recipients: tuple[Mailbox, ...] = Field(min_length=1, max_length=32, description="Who gets it.")
    user_name: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="User name at the mail server. Default: no login."
    )
    password_file: Path | None = Field(None, description="File with its password; its owner's alone.")
    ca_file: Path | None = Field(None, description="CA of its certificate. Default: the system's CAs.")
    deadline_s: Deadline = Field(10.0, description="Time for each step of it.")
    danger_plaintext_alert: Reason | None = Field(
        None, description="Sends without TLS; the value is the reason. Everyone on the way reads findings."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.user_name is None) != (self.password_file is None):
            raise ValueError("user_name and password_file go together")
        if self.danger_plaintext_alert is not None and self.user_name is not None:
            raise ValueError("a password is not sent without TLS: remove danger_plaintext_alert")
        return self


class SyslogAlert(BaseModel):
    """A message of syslog over TLS (RFC 5424, 5425)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    PATHS: ClassVar[tuple[str, ...]] = ("ca_file", "certificate_file", "key_file")

    kind: Literal["syslog"] = Field(description="Syslog over TLS.")
    address: Address = Field(description="HOST:PORT of the collector; its certificate has to be for that host.")
    ca_file: Path | None = Field(None, description="CA of its certificate. Default: the system's CAs.")
    certificate_file: Path | None = Field(None, description="Client certificate (PEM), with key_file.")
    key_file: Path | None = Field(None, description="Its key.")
    deadline_s: Deadline = Field(10.0, description="For a connection, and for a write.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self


class MqttAlert(BaseModel):
    """A message of the broker's own, retained: `$SYS/broker/alerts/NAME`. The policy says who may read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    PATHS: ClassVar[tuple[str, ...]] = ()

    kind: Literal["mqtt"] = Field(description="A message of the broker's own.")


Alert = Annotated[WebAlert | EmailAlert | SyslogAlert | MqttAlert, Field(discriminator="kind")]

ALERT_KINDS: dict[str, type[WebAlert | EmailAlert | SyslogAlert | MqttAlert]] = {
    "webhook": WebAlert,
    "alertmanager": WebAlert,
    "email": EmailAlert,
    "syslog": SyslogAlert,
    "mqtt": MqttAlert,
}
"""Every kind there is."""
