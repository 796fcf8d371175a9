"""Bans: who may not connect, whatever proves it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bartizan.api import schemas_security as schemas
from bartizan.api.house import House, Housed
from bartizan.api.paging import Page, Parted, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routing import Routes
from bartizan.broker.hit import hit_by
from bartizan.model.ban import CLIENT_ID_CHARS_MAX, ISSUER_CHARS_MAX, Ban, BanOf, new_ban
from bartizan.respond.bans import Bans

ROUTES = Routes("bans")

PREVIEW_MAX = 1_000

Id = Annotated[str, Path(max_length=64)]
Order = Literal["created_at", "-created_at", "what", "-what", "until", "-until"]
What = Annotated[str, Field(min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
Issuer = Annotated[str, Field(max_length=ISSUER_CHARS_MAX)]


class NewBan(BaseModel):
    """What is banned, why, and for how long."""

    model_config = ConfigDict(extra="forbid")

    of: BanOf
    what: What = Field(
        description="An identity; a serial number in hexadecimal; a Client Identifier; an address or a prefix of addresses."
    )
    issuer: Issuer = Field("", description="With `serial`: the issuer, as RFC 4514 writes it. Default: every one.")
    until: AwareDatetime | None = Field(None, description="Default: until it is removed.")
    reason: Text = ""

    def ban(self, house: House) -> Ban:
        """As it is kept."""
        return new_ban(
            self.of,
            self.what,
            at=house.now(),
            until=self.until,
            issuer=self.issuer,
            reason=self.reason,
            by=house.actor.name,
        )


@ROUTES.on("GET", "/bans", Permission.LOOK_ALL, response_model=Page[schemas.Ban])
async def list_bans(
    house: Housed, part: Parted, of: BanOf | None = None, sort: Order = "created_at"
) -> Mapping[str, Any]:
    """List the bans that hold."""
    found = [ban.as_dict() for ban in await _bans(house).every(house.now()) if of in {None, ban.of}]
    return page_of(found, part, "id", sort)


@ROUTES.on("GET", "/bans/preview", Permission.LOOK_ALL, response_model=schemas.BanPreview)
async def preview_ban(
    house: Housed,
    of: BanOf,
    what: Annotated[str, Query(min_length=1, max_length=CLIENT_ID_CHARS_MAX)],
    issuer: Annotated[str, Query(max_length=ISSUER_CHARS_MAX)] = "",
) -> dict[str, Any]:
    """Show who is connected and would be cut. Nothing is changed."""
    met = await hit_by(house.broker, new_ban(of, what, at=house.now(), issuer=issuer))
    return {"count": len(met), "clients": met[:PREVIEW_MAX]}


@ROUTES.on("GET", "/bans/{id}", Permission.LOOK_ALL, response_model=schemas.Ban)
async def show_ban(house: Housed, id: Id) -> dict[str, Any]:  # noqa: A002
    """Show a ban."""
    return (await _bans(house).get(id, house.now())).as_dict()


@ROUTES.on("POST", "/bans", Permission.BAN, status=HTTPStatus.CREATED, response_model=schemas.Banned)
async def add_ban(house: Housed, body: NewBan) -> dict[str, Any]:
    """Ban something: who meets it is cut now, and refused from now on. What is banned already is banned as this says."""
    return (await _bans(house.because(body.reason)).add(body.ban(house))).as_dict()


@ROUTES.on("DELETE", "/bans/{id}", Permission.BAN, status=HTTPStatus.NO_CONTENT)
async def remove_ban(house: Housed, id: Id) -> None:  # noqa: A002
    """End a ban: who met it may connect again."""
    await _bans(house).remove(id, house.now())


def _bans(house: House) -> Bans:
    return house.hands.bans
