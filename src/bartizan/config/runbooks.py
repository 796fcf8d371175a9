"""Settings of runbooks: what is done about one identity, or one address, in which order."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bartizan.config.respond import Playbook

STEPS_MAX = 16

OF_ADDRESS = frozenset({"disconnect", "ban"})
"""What can be done about an address."""


class Step(BaseModel):
    """`[[runbooks.NAME.steps]]`: one thing that is done. What it does is what the verb of this name does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["disconnect", "quarantine", "release", "revoke", "ban", "throttle"] = Field(
        description=(
            "`disconnect`: ends all connections. `quarantine`, `release`, `revoke`, `ban`, `throttle`: as these verbs."
        )
    )
    hours: Annotated[int, Field(strict=True, ge=1, le=8_760)] | None = Field(
        None,
        description="With `quarantine`, `ban` or `throttle`: how long. Default: until it is ended; of a throttle: 1.",
    )
    messages_per_s: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = Field(
        None, description="With `throttle`: PUBLISH packets per second of each connection. Default: 1."
    )
    clear_retained: bool = Field(
        default=False, description="With `revoke`: removes the Retained Messages that the identity published, too."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hours is not None and self.action not in {"quarantine", "ban", "throttle"}:
            raise ValueError('hours belongs to action = "quarantine", "ban" or "throttle": remove it')
        if self.messages_per_s is not None and self.action != "throttle":
            raise ValueError('messages_per_s belongs to action = "throttle": remove it')
        if self.clear_retained and self.action != "revoke":
            raise ValueError('clear_retained belongs to action = "revoke": remove it')
        return self


class Runbook(BaseModel):
    """`[runbooks.NAME]`: steps that are done one after the other, by hand or by a playbook. See [runbooks](responses.md#runbooks)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: Literal["identity", "address"] = Field(
        "identity", description="What it is run for. About an `address`, only `disconnect` and `ban` can be done."
    )
    note: Annotated[str, Field(max_length=256)] = Field("", description="When to run it, in a sentence.")
    steps: tuple[Step, ...] = Field(
        min_length=1, max_length=STEPS_MAX, description="What is done, in this order. It stops at what fails."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for step in self.steps:
            if self.about == "address" and step.action not in OF_ADDRESS:
                raise ValueError(f"{step.action} is done to an identity, and this runbook is about an address")
        return self


def check_runbooks(runbooks: dict[str, Runbook], playbooks: dict[str, Playbook]) -> None:
    """Refuses a playbook whose runbook is not there."""
    for name, playbook in playbooks.items():
        if playbook.runbook is not None and playbook.runbook not in runbooks:
            raise ValueError(f"playbooks.{name}: there is no [runbooks.{playbook.runbook}]")
