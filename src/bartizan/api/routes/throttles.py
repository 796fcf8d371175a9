"""Throttles: identities that publish more slowly for a while."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bartizan.api import schemas_security as schemas
from bartizan.api.house import Calling, Housed
from bartizan.api.paging import Page, Parted, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routing import Routes
from bartizan.model.throttle import RATE_MAX, new_throttle

ROUTES = Routes("throttles")

Name = Annotated[str, Path(max_length=128)]
Rate = Annotated[int, Field(strict=True, ge=0, le=RATE_MAX)]


class NewThrottle(BaseModel):
    """How slow, until when, and why."""

    model_config = ConfigDict(extra="forbid")

    messages_per_s: Rate = Field(0, description="PUBLISH packets per second; 0: as its roles say.")
    bytes_per_s: Rate = Field(0, description="Octets of them per second; 0: as its roles say.")
    until: AwareDatetime
    reason: Text = ""


@ROUTES.on("GET", "/throttles", Permission.LOOK_ALL, response_model=Page[schemas.Throttle])
async def list_throttles(
    house: Housed, part: Parted, sort: Literal["identity", "-identity", "until", "-until"] = "identity"
) -> Mapping[str, Any]:
    """List who is throttled."""
    return page_of([each.as_dict() for each in house.broker.directory.throttles(house.now())], part, "identity", sort)


@ROUTES.on("PUT", "/identities/{name}/throttle", Permission.ENROL, response_model=schemas.Throttle)
async def throttle_identity(house: Housed, caller: Calling, name: Name, body: NewThrottle) -> dict[str, Any]:
    """Throttle an identity: it publishes so fast and no faster until then, also over a restart. At once."""
    await house.identity(caller, name)
    throttle = new_throttle(
        name,
        messages_per_s=body.messages_per_s,
        bytes_per_s=body.bytes_per_s,
        until=body.until,
        reason=body.reason,
        by=house.actor.name,
    )
    await house.because(body.reason).hands.throttle(throttle)
    return throttle.as_dict()


@ROUTES.on("DELETE", "/identities/{name}/throttle", Permission.ENROL, status=HTTPStatus.NO_CONTENT)
async def unthrottle_identity(house: Housed, caller: Calling, name: Name) -> None:
    """Throttle an identity no more."""
    await house.identity(caller, name)
    await house.hands.unthrottle(name)
