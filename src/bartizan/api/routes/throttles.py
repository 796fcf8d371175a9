"""Throttles: identities that publish more slowly for a while."""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bartizan.api import schemas_security as schemas
from bartizan.api.house import Calling, Housed
from bartizan.api.paging import Match, Page, Parted, matching, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import IfMatch, Text, require_match
from bartizan.api.routing import Routes
from bartizan.broker.hands import Before
from bartizan.errors import NotFound
from bartizan.model.throttle import RATE_MAX, Throttle, new_throttle

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
    house: Housed,
    part: Parted,
    match: Match = "*",
    sort: Literal["identity", "-identity", "until", "-until"] = "identity",
) -> Mapping[str, Any]:
    """List who is throttled."""
    every = [each.as_dict() for each in house.broker.directory.throttles(house.now())]
    return page_of(matching(every, "identity", match), part, "identity", sort)


@ROUTES.on("GET", "/identities/{name}/throttle", Permission.LOOK, response_model=schemas.Throttle)
async def show_throttle(house: Housed, caller: Calling, response: Response, name: Name) -> dict[str, Any]:
    """Show how an identity is throttled."""
    await house.identity(caller, name)
    held = await house.hands.throttle_of(name)
    if held is None:
        raise NotFound(f"{name!r} is not throttled")
    response.headers["etag"] = _etag(held)
    return held.as_dict()


@ROUTES.on("PUT", "/identities/{name}/throttle", Permission.ENROL, response_model=schemas.Throttle)
async def throttle_identity(
    house: Housed, caller: Calling, response: Response, name: Name, body: NewThrottle, if_match: IfMatch = None
) -> dict[str, Any]:
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
    await house.because(body.reason).hands.throttle(throttle, before=_unmoved(if_match))
    response.headers["etag"] = _etag(throttle)
    return throttle.as_dict()


@ROUTES.on("DELETE", "/identities/{name}/throttle", Permission.ENROL, status=HTTPStatus.NO_CONTENT)
async def unthrottle_identity(house: Housed, caller: Calling, name: Name, if_match: IfMatch = None) -> None:
    """Throttle an identity no more."""
    await house.identity(caller, name)
    await house.hands.unthrottle(name, before=_unmoved(if_match))


def _unmoved(if_match: str | None) -> Before:
    return lambda held: require_match(if_match, _etag(held))


def _etag(held: Throttle | None) -> str:
    """Of what it says: a throttle has no revision."""
    text = "" if held is None else json.dumps(held.as_dict(), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()}"'
