"""Settings of answers: what is done about which findings."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.alerts import Alert

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


def _parse_name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("a name here is a lower-case letter, then letters, digits, '_' or '-' (32 at most)")
    return name


Name = Annotated[str, AfterValidator(_parse_name)]

OF_ACTION: Final[Mapping[str, str]] = {
    "quarantine_h": "quarantine",
    "clear_retained": "revoke",
    "ban_h": "ban",
    "ban_ipv4_bits": "ban",
    "ban_ipv6_bits": "ban",
    "throttle_per_s": "throttle",
    "throttle_h": "throttle",
}
"""Keys that one action alone has."""


class Playbook(BaseModel):
    """`[playbooks.NAME]`: what is done about which findings. What it does, and what it never does, is in [responses](responses.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["alert", "disconnect", "quarantine", "revoke", "ban", "throttle", "runbook"] = Field(
        description=(
            "`alert`: tells `to`. `disconnect`: ends all connections of the identity that a finding is about. `quarantine`, "
            "`revoke`: what the verbs of these names do to it. `ban`: bans the address (of IPv6 its /64) that a finding "
            "is about, or its neighbours with it. `throttle`: the identity publishes more slowly. `runbook`: runs one."
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
    ban_ipv4_bits: Annotated[int, Field(strict=True, ge=16, le=32)] | None = Field(
        None,
        description=(
            "So many first bits of an IPv4 address are banned: 24 is its /24. Default: 32, the address alone. With fewer, "
            "`never` has addresses and prefixes alone, and nothing is banned that overlaps one of them."
        ),
    )
    ban_ipv6_bits: Annotated[int, Field(strict=True, ge=32, le=64)] | None = Field(
        None, description="The same of IPv6. Default: 64."
    )
    clear_retained: bool = Field(
        default=False, description="With `revoke`: removes the Retained Messages that the identity published, too."
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
            "not. `auto`: does it; what revokes waits all the same where `[api] two_person` names `revoke`. Default: `auto` "
            "for alerts and throttles, `observe` for all else."
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
        if (self.action == "runbook") is (self.runbook is None):
            raise ValueError('action = "runbook" needs runbook: the name of a [runbooks.NAME]; no other action has it')
        for key, action in OF_ACTION.items():
            if getattr(self, key) not in (None, False) and self.action != action:
                raise ValueError(f'{key} is of action = "{action}" alone: remove it')
        if self._bans_more and not all(map(_is_prefix, self.never)):
            raise ValueError(
                "who bans a whole prefix names in never what is left out as addresses or prefixes: of a pattern nobody "
                "can tell whether it lies within"
            )
        return self

    @property
    def _bans_more(self) -> bool:
        """Whether addresses are banned that nothing was found about."""
        return (self.ban_ipv4_bits or 32) < 32 or (self.ban_ipv6_bits or 64) < 64  # noqa: PLR2004  as they are found


def _is_prefix(entry: str) -> bool:
    try:
        ip_network(entry)
    except ValueError:
        return False
    return True


def check_playbooks(playbooks: dict[str, Playbook], alerts: dict[str, Alert]) -> None:
    """Refuses a playbook that tells nobody, and an alert that would be read as one and is none."""
    told = {playbook.to for playbook in playbooks.values()}
    for name, playbook in playbooks.items():
        if playbook.to is not None and playbook.to not in alerts:
            raise ValueError(f"playbooks.{name}: there is no [alerts.{playbook.to}]")
    for name in sorted(alerts.keys() - told):
        raise ValueError(f"alerts.{name} is named by no playbook: add one with to = {name!r}, or remove it")
