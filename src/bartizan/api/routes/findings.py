"""What detectors found, what people make of it, and what playbooks do about it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from bartizan.api import schemas_security as schemas
from bartizan.api.house import Calling, House, Housed
from bartizan.api.paging import Page, Parted, page_of
from bartizan.api.permissions import Permission
from bartizan.api.responding import confirmed, dismissed
from bartizan.api.routes.runbooks import require_steps
from bartizan.api.routing import Routes
from bartizan.broker import seen_to
from bartizan.broker.app import Broker
from bartizan.model.actor import Actor
from bartizan.model.finding import About, Mute, Severity, State
from bartizan.model.response import Outcome, Response
from bartizan.store.findings import FindingStore
from bartizan.store.responses import ResponseStore

ROUTES = Routes("findings")

NUMBERS_MAX = 1_000

Number = Annotated[int, Path(ge=1, le=2**31)]
Why = Annotated[str, Field(min_length=1, max_length=1_024, description="The reason, for whoever asks later.")]
Order = Literal["last_at", "-last_at", "number", "-number", "score", "-score", "count", "-count"]


class Acknowledgement(BaseModel):
    """Which findings somebody has seen to."""

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[list[Annotated[int, Field(ge=1, le=2**31)]], Field(min_length=1, max_length=NUMBERS_MAX)]
    why: Why


class NewMute(BaseModel):
    """What nobody wants to be told of, and until when."""

    model_config = ConfigDict(extra="forbid")

    detector: Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
    about: About | None = Field(None, description="With `name`, the one thing that it holds for. Default: all.")
    name: Annotated[str, Field(max_length=256)] = ""
    until: AwareDatetime
    why: Why

    @model_validator(mode="after")
    def _of_one_thing(self) -> "NewMute":
        if bool(self.name) is not (self.about not in {None, About.BROKER}):
            raise ValueError("a name goes with what it is of: an identity, a target or a network")
        return self


@ROUTES.on("GET", "/findings", Permission.LOOK_ALL, response_model=Page[schemas.Finding])
async def list_findings(
    house: Housed,
    part: Parted,
    state: Literal["open", "acknowledged", "muted", "any"] = "open",
    severity: Annotated[Severity, Query(description="Of this severity, or worse.")] = Severity.LOW,
    since: AwareDatetime | None = None,
    sort: Order = "-last_at",
) -> Mapping[str, Any]:
    """List findings that nobody has seen to, those in another state, or any."""
    states = tuple(State) if state == "any" else (State(state),)
    kept = await asyncio.to_thread(_store(house).findings, states, since)
    found = [each.as_dict() for each in kept if each.finding.severity.rank >= severity.rank]
    return page_of(found, part, "number", sort)


@ROUTES.on("GET", "/findings/{number}", Permission.LOOK_ALL, response_model=schemas.Finding)
async def show_finding(house: Housed, number: Number) -> dict[str, Any]:
    """Show a finding and what became of it."""
    return (await asyncio.to_thread(_store(house).finding, number)).as_dict()


@ROUTES.on("POST", "/findings/acknowledgements", Permission.FINDINGS, response_model=list[schemas.Finding])
async def acknowledge_findings(house: Housed, body: Acknowledgement) -> Sequence[dict[str, Any]]:
    """Acknowledge findings: somebody has seen to them; all or none. One that gets much worse is open again."""
    numbers, why = list(dict.fromkeys(body.numbers)), seen_to.reason_of(body.why)
    kept = await asyncio.to_thread(seen_to.acknowledge, _store(house), house.trail, numbers, why)
    return [each.as_dict() for each in kept]


@ROUTES.on("GET", "/mutes", Permission.LOOK_ALL, response_model=list[schemas.Mute])
async def list_mutes(house: Housed) -> Sequence[dict[str, Any]]:
    """List what is muted, until when, by whom and why."""
    return [each.as_dict() for each in await asyncio.to_thread(_store(house).mutes, house.now())]


@ROUTES.on("POST", "/mutes", Permission.FINDINGS, status=HTTPStatus.CREATED, response_model=schemas.Mute)
async def add_mute(house: Housed, body: NewMute) -> dict[str, Any]:
    """Have nobody told of such findings for a while. They are kept as muted; open ones become so."""
    why, by = seen_to.reason_of(body.why), house.actor.name
    wanted = Mute(0, body.detector, body.about, body.name, why, by, house.now(), body.until)
    return (await asyncio.to_thread(seen_to.mute, _store(house), house.trail, wanted)).as_dict()


@ROUTES.on("DELETE", "/mutes/{number}", Permission.FINDINGS, status=HTTPStatus.NO_CONTENT)
async def end_mute(house: Housed, number: Number) -> None:
    """End a mute. What is found from then on is told."""
    await asyncio.to_thread(seen_to.unmute, _store(house), house.trail, number)


@ROUTES.on("GET", "/responses", Permission.LOOK_ALL, response_model=Page[schemas.PlaybookResponse])
async def list_responses(
    house: Housed,
    part: Parted,
    outcome: Outcome | None = None,
    sort: Literal["number", "-number"] = "-number",
) -> Mapping[str, Any]:
    """List what playbooks did, would have done, or wait to do."""
    outcomes = tuple(Outcome) if outcome is None else (outcome,)
    found = await asyncio.to_thread(_responses(house).responses, outcomes)
    return page_of([asdict(each) for each in found], part, "number", sort)


@ROUTES.on("POST", "/responses/{number}/confirmation", Permission.RESPOND, response_model=schemas.PlaybookResponse)
async def confirm_response(house: Housed, caller: Calling, number: Number) -> dict[str, Any]:
    """Have done what a playbook waits to do, within an hour of the finding.

    It takes the permission that it takes by itself, too; a runbook takes that of each of its steps.

    Where a revocation takes two operators, it is asked for by `POST /identities/NAME/revocation` instead.
    """
    waiting = await asyncio.to_thread(_responses(house).waiting, number)
    require_steps(house, caller, _steps(house, waiting))
    return await _settled(confirmed, house, number)


@ROUTES.on("POST", "/responses/{number}/dismissal", Permission.RESPOND, response_model=schemas.PlaybookResponse)
async def dismiss_response(house: Housed, number: Number) -> dict[str, Any]:
    """Have not done what a playbook waits to do."""
    await asyncio.to_thread(_responses(house).waiting, number)
    return await _settled(dismissed, house, number)


async def _settled(
    settle: Callable[[Broker, Actor, int], Awaitable[Response]], house: House, number: int
) -> dict[str, Any]:
    return asdict(await settle(house.broker, house.actor, number))


def _steps(house: House, waiting: Response) -> Sequence[str]:
    """What is done, step by step; nothing where the playbook is another one by now: then it fails."""
    if waiting.action != "runbook":
        return (waiting.action,)
    settings = house.broker.settings
    playbook = settings.playbooks.get(waiting.playbook)
    if playbook is None or playbook.runbook is None:
        return ()
    return [step.action for step in settings.runbooks[playbook.runbook].steps]


def _store(house: House) -> FindingStore:
    return FindingStore(house.broker.data.findings, house.broker.settings.detect.findings_max)


def _responses(house: House) -> ResponseStore:
    return ResponseStore(house.broker.data.findings)
