"""Runbooks: what is done about one identity, or one address, step by step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from bartizan.api import schemas_security as schemas
from bartizan.api.caller import Caller
from bartizan.api.house import Calling, House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routing import Routes
from bartizan.broker.runbooks import hit_by_run, ran, runbook_of
from bartizan.config.api import Act
from bartizan.config.runbooks import Runbook
from bartizan.errors import Conflict

ROUTES = Routes("runbooks")

NEEDS: Final[Mapping[str, Permission]] = {
    "disconnect": Permission.DISCONNECT,
    "quarantine": Permission.ENROL,
    "release": Permission.ENROL,
    "revoke": Permission.REVOKE,
    "ban": Permission.BAN,
    "throttle": Permission.ENROL,
}
"""What each step takes, beside `respond`: nobody does by a runbook, or a playbook, what is not theirs to do."""

Name = Annotated[str, Path(max_length=64)]


class NewRun(BaseModel):
    """For whom, and why."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    for_: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        alias="for", description="An identity, or an address or a prefix, as the runbook says."
    )
    reason: Text = ""


@ROUTES.on("GET", "/runbooks", Permission.LOOK_ALL, response_model=list[schemas.Runbook])
async def list_runbooks(house: Housed) -> Sequence[dict[str, Any]]:
    """List the runbooks of the configuration."""
    return [_told(name, runbook) for name, runbook in sorted(house.broker.settings.runbooks.items())]


@ROUTES.on("GET", "/runbooks/{name}", Permission.LOOK_ALL, response_model=schemas.Runbook)
async def show_runbook(house: Housed, name: Name) -> dict[str, Any]:
    """Show a runbook."""
    return _told(name, runbook_of(house.broker, name))


@ROUTES.on("GET", "/runbooks/{name}/preview", Permission.LOOK_ALL, response_model=schemas.RunPreview)
async def preview_run(
    house: Housed, name: Name, for_: Annotated[str, Query(alias="for", min_length=1, max_length=128)]
) -> dict[str, Any]:
    """Show who would be hit. Nothing is done."""
    return (await hit_by_run(house.broker, name, for_)).as_dict()


@ROUTES.on("POST", "/runbooks/{name}/runs", Permission.RESPOND, response_model=schemas.Run)
async def run_runbook(house: Housed, caller: Calling, name: Name, body: NewRun) -> dict[str, Any]:
    """Run a runbook: step by step, until one fails. What was done, and what was not, is told.

    Each step takes the permission that it takes by itself, too. Where a revocation takes two operators, one that revokes is
    refused (409): it is asked for by `POST /identities/NAME/revocation`.
    """
    require_steps(house, caller, (step.action for step in runbook_of(house.broker, name).steps))
    return (await ran(house.broker, house.actor, name, body.for_, body.reason)).as_dict()


def require_steps(house: House, caller: Caller, actions: Iterable[str]) -> None:
    """403 unless the caller may do each of these by itself; `Conflict` for what takes a second operator by itself."""
    for action in actions:
        caller.require(NEEDS[action], house.settings, house.now())
        if action == "revoke" and house.approvals.holds(Act.REVOKE, caller):
            raise Conflict("to revoke takes two operators here: POST /identities/NAME/revocation asks for it")


def _told(name: str, runbook: Runbook) -> dict[str, Any]:
    return {"name": name, **runbook.model_dump(mode="json")}
