"""Settings of answers: what is done about which findings."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.alerts import Alert

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


def _parse_name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("a name here is a lower-case letter, then letters, digits, '_' or '-' (32 at most)")
    return name


Name = Annotated[str, AfterValidator(_parse_name)]


class Playbook(BaseModel):
    """`[playbooks.NAME]`: what is done about which findings. What it does, and what it never does, is in [responses](responses.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["alert", "disconnect", "quarantine", "revoke", "ban", "throttle", "runbook"] = Field(
        description=(
            "`alert`: tells `to`. `disconnect`: ends all connections of the identity that a finding is about. `quarantine`, "
            "`revoke`: what the verbs of these names do to it. `ban`: bans the address (of IPv6 its /64) that a finding "
            "is about. `throttle`: the identity publishes more slowly. `runbook`: runs one."
        )
    )
    to: Name | None = Field(None, description="The `[alerts.NAME]` that is told.")
    runbook: Name | None = Field(None, description="The `[runbooks.NAME]` that is run.")
    quarantine_h: Annotated[int, Field(strict=True, ge=1, le=8_760)] | None = Field(
        None, description="Hours of a quarantine. Default: until it is released."
    )
    ban_h: Annotated[int, Field(strict=True, ge=1, le=8_760)] | None = Field(
        None, description="Hours of a ban. Default: 1. Others may come from the address by then."
    )
    throttle_per_s: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = Field(
        None, description="PUBLISH packets per second of each connection that is throttled. Default: 1."
    )
    throttle_h: Annotated[int, Field(strict=True, ge=1, le=8_760)] | None = Field(
        None, description="Hours of a throttle. Default: 1."
    )
    mode: Literal["observe", "confirm", "auto"] | None = Field(
        None,
        description=(
            "`observe`: only notes what it would do. `confirm`: waits an hour for `bartizan response confirm`; an alert does "
            "not. `auto`: does it. Default: `auto` for alerts and throttles, `observe` for all else."
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
        description=(
            'Identities and addresses that nothing is done about, as patterns or prefixes: "hmi-*", "10.20.0.*", '
            '"10.20.0.0/16".'
        ),
    )

    @property
    def does(self) -> Literal["observe", "confirm", "auto"]:
        """The mode in force."""
        return self.mode or ("auto" if self.action in {"alert", "throttle"} else "observe")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.action == "alert") is (self.to is None):
            raise ValueError('action = "alert" needs to: the name of an [alerts.NAME]; no other action has it')
        if self.action == "alert" and self.mode == "confirm":
            raise ValueError('an alert waits for nobody: mode = "auto" or "observe"')
        if self.quarantine_h is not None and self.action != "quarantine":
            raise ValueError('quarantine_h is of action = "quarantine" alone: remove it')
        if (self.action == "runbook") is (self.runbook is None):
            raise ValueError('action = "runbook" needs runbook: the name of a [runbooks.NAME]; no other action has it')
        if (self.throttle_per_s, self.throttle_h) != (None, None) and self.action != "throttle":
            raise ValueError('throttle_per_s and throttle_h are of action = "throttle" alone: remove them')
        if self.ban_h is not None and self.action != "ban":
            raise ValueError('ban_h is of action = "ban" alone: remove it')
        return self


def check_playbooks(playbooks: dict[str, Playbook], alerts: dict[str, Alert]) -> None:
    """Refuses a playbook that tells nobody, and an alert that would be read as one and is none."""
    told = {playbook.to for playbook in playbooks.values()}
    for name, playbook in playbooks.items():
        if playbook.to is not None and playbook.to not in alerts:
            raise ValueError(f"playbooks.{name}: there is no [alerts.{playbook.to}]")
    for name in sorted(alerts.keys() - told):
        raise ValueError(f"alerts.{name} is named by no playbook: add one with to = {name!r}, or remove it")
