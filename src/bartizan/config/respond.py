"""Settings of answers: which findings are told to whom, and what else is done about them."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.outside import require_https
from bartizan.config.words import Reason

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


def _parse_name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("a name here is a lower-case letter, then letters, digits, '_' or '-' (32 at most)")
    return name


Name = Annotated[str, AfterValidator(_parse_name)]
Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+([/?][^#\s]*)?$", max_length=2_048)]


class Alert(BaseModel):
    """`[alerts.NAME]`: somebody who is told of findings. What is sent is in [responses](responses.md)."""

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
    deadline_s: Annotated[float, Field(gt=0, le=60)] = Field(5.0, description="Time for one answer.")
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


class Playbook(BaseModel):
    """`[playbooks.NAME]`: what is done about which findings. What it does, and what it never does, is in [responses](responses.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["alert", "disconnect", "quarantine", "revoke"] = Field(
        description=(
            "`alert`: tells `to`. `disconnect`: ends all connections of the identity that a finding is about. `quarantine`, "
            "`revoke`: what the verbs of these names do to it."
        )
    )
    to: Name | None = Field(None, description="The `[alerts.NAME]` that is told.")
    quarantine_h: Annotated[int, Field(strict=True, ge=1, le=8_760)] | None = Field(
        None, description="Hours of a quarantine. Default: until it is released."
    )
    mode: Literal["observe", "confirm", "auto"] | None = Field(
        None,
        description=(
            "`observe`: only notes what it would do. `confirm`: waits an hour for `bartizan response confirm`. `auto`: does "
            "it. Default: `auto` for alerts, `observe` for all else."
        ),
    )
    detectors: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (), description="Findings of these detectors. Default: of all."
    )
    severity: Literal["low", "medium", "high", "critical"] = Field(
        "high", description="Findings of this severity, or worse."
    )
    per_hour_max: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        20, description="So often in an hour; further findings are noted as left out."
    )
    never: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        (),
        max_length=1_000,
        description='Identities and addresses that nothing is done about, as patterns: "hmi-*", "10.20.0.*".',
    )

    @property
    def does(self) -> Literal["observe", "confirm", "auto"]:
        """The mode in force."""
        return self.mode or ("auto" if self.action == "alert" else "observe")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.action == "alert") is (self.to is None):
            raise ValueError('action = "alert" needs to: the name of an [alerts.NAME]; no other action has it')
        if self.quarantine_h is not None and self.action != "quarantine":
            raise ValueError('quarantine_h is of action = "quarantine" alone: remove it')
        return self


def check_playbooks(playbooks: dict[str, Playbook], alerts: dict[str, Alert]) -> None:
    """Refuses a playbook that tells nobody, and an alert that would be read as one and is none."""
    told = {playbook.to for playbook in playbooks.values()}
    for name, playbook in playbooks.items():
        if playbook.to is not None and playbook.to not in alerts:
            raise ValueError(f"playbooks.{name}: there is no [alerts.{playbook.to}]")
    for name in sorted(alerts.keys() - told):
        raise ValueError(f"alerts.{name} is named by no playbook: add one with to = {name!r}, or remove it")
