"""What is done to identities at once: revoked, put into quarantine, released; one, or everybody who is meant."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from bartizan.api import schemas_security as schemas
from bartizan.api.caller import Caller
from bartizan.api.house import Calling, House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routing import Routes
from bartizan.config.api import Act
from bartizan.errors import BartizanError, Conflict, InvalidValue
from bartizan.identity.chosen import chosen, mark_of
from bartizan.respond.actions import Done

ROUTES = Routes("actions")

SHOWN_MAX = 1_000
NAMED_MAX = 1_000

Action = Literal["revoke", "quarantine", "release"]
Name = Annotated[str, Path(max_length=128)]
Word = Annotated[str, Field(max_length=256)]
Do = Callable[[str], Awaitable[Done]]


class Revocation(BaseModel):
    """Why, and what goes with it."""

    model_config = ConfigDict(extra="forbid")

    note: Text = Field("", description="Kept with the identity, such as why and which ticket.")
    clear_retained: bool = Field(default=False, description="Remove the Retained Messages that it published, too.")


class Quarantine(BaseModel):
    """Why, and for how long."""

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime | None = Field(None, description="Default: until it is released.")
    reason: Text = ""
    ticket: Text = Field("", description="Where the matter is kept, such as INC-4711.")


class Meant(BaseModel):
    """Who is meant: those who are named, or everybody with a role or a fitting name, as a preview has shown them."""

    model_config = ConfigDict(extra="forbid")

    identities: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=NAMED_MAX)] = Field(
        default_factory=list
    )
    role: Word | None = None
    match: Word | None = Field(None, description="A pattern of names; `*` and `?` stand for any characters.")
    confirm: Annotated[str, Field(max_length=64)] = Field(
        "", description="With `role` or `match`: as `GET /actions/preview` told it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.identities) + (self.role is not None) + (self.match is not None) != 1:
            raise ValueError("name identities, or a role, or a pattern: one of the three")
        return self


class RevocationOfMany(Meant, Revocation):
    """Who is revoked."""


class QuarantineOfMany(Meant, Quarantine):
    """Who is put into quarantine."""


@ROUTES.on("GET", "/actions/preview", Permission.LOOK, response_model=schemas.Preview)
async def preview_action(
    house: Housed,
    caller: Calling,
    action: Action,
    role: Annotated[str | None, Query(max_length=256)] = None,
    match: Annotated[str | None, Query(max_length=256)] = None,
) -> dict[str, Any]:
    """Show who is meant by a role or a pattern. Nothing is changed."""
    if (role is None) == (match is None):
        raise InvalidValue("name a role, or a pattern: one of the two")
    names = await _chosen(house, caller, action, role, match)
    shown = list(names[:SHOWN_MAX])
    return {"action": action, "count": len(names), "identities": shown, "confirm": mark_of(action, names)}


@ROUTES.on("POST", "/identities/{name}/revocation", Permission.REVOKE, act=Act.REVOKE, response_model=schemas.Acted)
async def revoke_identity(house: Housed, caller: Calling, name: Name, body: Revocation) -> dict[str, Any]:
    """Revoke an identity for ever: its connections are cut, its Sessions, credentials and Will end. At once."""
    await house.identity(caller, name)
    return (await _revoking(house, body)(name)).as_dict()


@ROUTES.on("POST", "/identities/{name}/quarantine", Permission.ENROL, response_model=schemas.Acted)
async def quarantine_identity(house: Housed, caller: Calling, name: Name, body: Quarantine) -> dict[str, Any]:
    """Put an identity into quarantine: it stays connected, in the policy's role `quarantine` alone. At once."""
    await house.identity(caller, name)
    return (await _quarantining(house, body)(name)).as_dict()


@ROUTES.on("POST", "/identities/{name}/release", Permission.ENROL, response_model=schemas.Acted)
async def release_identity(house: Housed, caller: Calling, name: Name) -> dict[str, Any]:
    """Release an identity from quarantine: it has its roles again, and connects and subscribes anew."""
    await house.identity(caller, name)
    return (await house.hands.actions.release(name)).as_dict()


@ROUTES.on("POST", "/revocations", Permission.REVOKE, act=Act.REVOKE_ALL, response_model=schemas.ActedOnMany)
async def revoke_identities(house: Housed, caller: Calling, body: RevocationOfMany) -> dict[str, Any]:
    """Revoke identities for ever: those who are named, or all whom a preview has shown."""
    return await _each(house, caller, "revoke", body, _revoking(house, body))


@ROUTES.on("POST", "/quarantines", Permission.ENROL, act=Act.QUARANTINE_ALL, response_model=schemas.ActedOnMany)
async def quarantine_identities(house: Housed, caller: Calling, body: QuarantineOfMany) -> dict[str, Any]:
    """Put identities into quarantine: those who are named, or all whom a preview has shown."""
    return await _each(house, caller, "quarantine", body, _quarantining(house, body))


@ROUTES.on("POST", "/releases", Permission.ENROL, response_model=schemas.ActedOnMany)
async def release_identities(house: Housed, caller: Calling, body: Meant) -> dict[str, Any]:
    """Release identities from quarantine: those who are named, or all whom a preview has shown."""
    return await _each(house, caller, "release", body, house.hands.actions.release)


def _revoking(house: House, how: Revocation) -> Do:
    actions, at = house.because(how.note).hands.actions, house.now()
    return lambda name: actions.revoke(name, at=at, note=how.note, clears_retained=how.clear_retained)


def _quarantining(house: House, how: Quarantine) -> Do:
    actions = house.because(how.reason).hands.actions
    by = house.actor.name
    return lambda name: actions.quarantine(name, until=how.until, reason=how.reason, ticket=how.ticket, by=by)


async def _chosen(house: House, caller: Caller, action: Action, role: str | None, match: str | None) -> Sequence[str]:
    return await chosen(
        house.register,
        role,
        match,
        at=house.now(),
        in_quarantine=action == "release",
        is_seen=lambda identity: caller.sees(house.tenant_of(identity)),
    )


async def _each(house: House, caller: Caller, action: Action, meant: Meant, do: Do) -> dict[str, Any]:
    if meant.identities:
        names: Sequence[str] = tuple(dict.fromkeys(meant.identities))
    else:
        names = await _chosen(house, caller, action, meant.role, meant.match)
        if meant.confirm != mark_of(action, names):
            raise Conflict(
                f"{len(names)} identities are meant, and a preview has shown others or none: GET /actions/preview again"
            )
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for name in names:
        try:
            await house.identity(caller, name)
            done.append((await do(name)).as_dict())
        except BartizanError as error:
            failed.append({"identity": name, "problem": " ".join(str(error).split())})
        # Others are answered in between, however many they are.
        await asyncio.sleep(0)
    return {"done": done, "failed": failed}
