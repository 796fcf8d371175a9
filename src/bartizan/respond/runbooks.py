"""A runbook is run: step by step, stopping at the first that fails; what was done, and what was not, is told."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from bartizan.config.runbooks import Runbook, Step
from bartizan.errors import BartizanError
from bartizan.model.ban import BanOf, new_ban
from bartizan.model.reason import ReasonCode
from bartizan.model.throttle import Throttle, new_throttle
from bartizan.respond.actions import Actions, outcome
from bartizan.respond.bans import Bans


class Hands(Protocol):
    """What does the steps, in somebody's name."""

    @property
    def actions(self) -> Actions:
        """What is done to identities."""
        ...

    @property
    def bans(self) -> Bans:
        """What is done to who may not connect."""
        ...

    async def throttle(self, throttle: Throttle) -> None:
        """Has an identity publish more slowly."""
        ...

    async def disconnect_identity(self, identity: str, reason: int) -> int:
        """Disconnects whoever is connected as this identity; how many."""
        ...

    async def disconnect_address(self, prefix: str, reason: int) -> int:
        """Disconnects whoever comes from this address, or prefix; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Occasion:
    """When, by whom and why a runbook is run."""

    at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step, and what it did."""

    action: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a run."""

    runbook: str
    about: str
    name: str
    done: tuple[StepDone, ...]
    failed: StepDone | None
    """The step at which it stopped, and why."""
    left: tuple[str, ...]
    """What was not done because of that."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def text(self) -> str:
        """In a sentence."""
        parts = [f"{step.action}: {step.text}" for step in self.done]
        if self.failed is not None:
            left = f"; not done: {', '.join(self.left)}" if self.left else ""
            parts.append(f"{self.failed.action} failed: {self.failed.text}{left}")
        return "; ".join(parts)


async def run(name: str, runbook: Runbook, subject: str, hands: Hands, occasion: Occasion) -> Run:
    """Does the steps about this identity, or address. A step that fails ends it; what was done before stays done."""
    done: list[StepDone] = []
    failed: StepDone | None = None
    for step in runbook.steps:
        try:
            done.append(StepDone(step.action, await _do(step, runbook, subject, hands, occasion)))
        except BartizanError as error:
            failed = StepDone(step.action, " ".join(str(error).split()))
            break
    behind = runbook.steps[len(done) + 1 :] if failed is not None else ()
    return Run(name, runbook.about, subject, tuple(done), failed, tuple(step.action for step in behind))


async def _do(step: Step, runbook: Runbook, subject: str, hands: Hands, occasion: Occasion) -> str:
    until = None if step.hours is None else occasion.at + timedelta(hours=step.hours)
    actions, why = hands.actions, occasion.why
    match step.action:
        case "disconnect":
            disconnect = hands.disconnect_identity if runbook.about == "identity" else hands.disconnect_address
            return f"{await disconnect(subject, ReasonCode.ADMINISTRATIVE_ACTION)} connections ended"
        case "quarantine":
            return outcome(await actions.quarantine(subject, until=until, reason=why, by=occasion.by))
        case "release":
            return outcome(await actions.release(subject))
        case "revoke":
            return outcome(await actions.revoke(subject, at=occasion.at, note=why, clears_retained=step.clear_retained))
        case "throttle":
            rate, ends = step.messages_per_s or 1, until or occasion.at + timedelta(hours=1)
            await hands.throttle(new_throttle(subject, messages_per_s=rate, until=ends, reason=why, by=occasion.by))
            return f"throttled to {rate} messages a second"
        case "ban":
            of = BanOf.IDENTITY if runbook.about == "identity" else BanOf.ADDRESS
            ban = new_ban(of, subject, at=occasion.at, until=until, reason=why, by=occasion.by)
            return f"banned, {len((await hands.bans.add(ban)).cut)} connections cut"
