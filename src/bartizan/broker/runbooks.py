"""Runbooks on a broker that runs: who would be hit, and the run itself, on record as a whole and step by step."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bartizan.audit.record import Outcome
from bartizan.broker.hands import hands_of
from bartizan.broker.hit import hit_by
from bartizan.config.runbooks import Runbook
from bartizan.errors import BartizanError, NotFound
from bartizan.model.actor import Actor
from bartizan.model.ban import Ban, BanOf, new_ban
from bartizan.respond.runbooks import Occasion, Run, run

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

WHAT = "runbook.run"


class StoppedError(BartizanError):
    """A runbook stopped at a step that failed. To do: what it says, then what is left."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What a run would do, and to whom."""

    runbook: str
    about: str
    name: str
    state: str | None
    """Of an identity; None where there is none."""
    clients: tuple[dict[str, str], ...]
    """Who is connected, and would lose its connection or what it may do."""
    steps: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def runbook_of(broker: "Broker", name: str) -> Runbook:
    """The runbook of this name, or `NotFound`."""
    found = broker.settings.runbooks.get(name)
    if found is None:
        raise NotFound(f"there is no runbook {name!r}: `bartizan runbook list` shows them")
    return found


async def hit_by_run(broker: "Broker", name: str, subject: str) -> Hit:
    """Who would be hit. Nothing is done."""
    runbook = runbook_of(broker, name)
    ban = _ban(runbook.about, subject)
    identity = await broker.directory.get(ban.what) if runbook.about == "identity" else None
    clients = await hit_by(broker, ban)
    state = None if identity is None else identity.state_at(datetime.now(UTC)).value
    return Hit(name, runbook.about, ban.what, state, tuple(clients), tuple(step.action for step in runbook.steps))


async def ran(broker: "Broker", actor: Actor, name: str, subject: str, why: str) -> Run:
    """Runs it in the name of this actor. A step that fails is told in what comes back."""
    runbook = runbook_of(broker, name)
    what = _ban(runbook.about, subject).what
    because = "; ".join(filter(None, (f"runbook {name}", why)))
    hands = hands_of(broker, actor.because(because))
    trail, after = hands.trail, {"steps": [step.action for step in runbook.steps]}
    span = await trail.begin(WHAT, f"runbook/{name}/{what}", after=after)
    occasion = Occasion(datetime.now(UTC), actor.name, because)
    done = await run(name, runbook, what, hands, occasion)
    outcome, said = (Outcome.DONE, "") if done.failed is None else (Outcome.FAILED, done.text)
    await asyncio.to_thread(trail.settle, span, WHAT, outcome, said)
    _tell(broker, done, actor)
    return done


def _ban(about: str, name: str) -> Ban:
    """Names whom a runbook is about, in one spelling, and knows who that is among the clients."""
    of = BanOf.IDENTITY if about == "identity" else BanOf.ADDRESS
    return new_ban(of, name, at=datetime.now(UTC))


def _tell(broker: "Broker", done: Run, actor: Actor) -> None:
    broker.journal.note(
        "runbook",
        runbook=done.runbook,
        about=done.about,
        name=done.name,
        by=actor.name,
        outcome="done" if done.failed is None else "failed",
        text=done.text,
    )
