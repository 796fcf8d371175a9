"""Who exists, and what proves it."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bartizan.api import schemas
from bartizan.api.caller import Caller, forbidden
from bartizan.api.house import Calling, House, Housed
from bartizan.api.paging import LOOKED_AT_MAX, Page, Parted, next_behind, place_of
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.config.api import Act
from bartizan.errors import InvalidValue
from bartizan.identity.edit import Edit, Names
from bartizan.identity.listing import Wanted, page_of, shown
from bartizan.identity.records import time_text
from bartizan.identity.register import new_identity
from bartizan.identity.renewal import SecretKind, earlier_end, renew_secret
from bartizan.model.ids import AttributeName, GroupName, RoleName, parse_attribute_value
from bartizan.model.principal import Identity, IdentityState
from bartizan.policy.tenants import ATTRIBUTE
from bartizan.store.ports import Order

ROUTES = Routes("identities")

NAMES_MAX = 256
OVERLAP_DAYS_MAX = 365

Name = Annotated[str, Path(max_length=128)]
Text = Annotated[str, Field(max_length=1_024)]
Many = Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=NAMES_MAX)]
Attributes = Annotated[dict[str, str], Field(max_length=NAMES_MAX)]
IfMatch = Annotated[str | None, Header(max_length=128, description="The ETag that was read: 412 if it changed since.")]
Filter = Annotated[str | None, Query(max_length=128)]


class NewIdentity(BaseModel):
    """An identity that nothing proves yet."""

    model_config = ConfigDict(extra="forbid")

    identity: Annotated[str, Field(max_length=128)]
    roles: Many = Field(default_factory=list)
    groups: Many = Field(default_factory=list)
    attributes: Attributes = Field(default_factory=dict)
    owner: Text = ""
    note: Text = ""


class IdentityChange(BaseModel):
    """What is to change; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    add_roles: Many = Field(default_factory=list)
    remove_roles: Many = Field(default_factory=list)
    add_groups: Many = Field(default_factory=list)
    remove_groups: Many = Field(default_factory=list)
    attributes: Attributes = Field(default_factory=dict)
    remove_attributes: Many = Field(default_factory=list)
    owner: Text | None = None
    note: Text | None = None
    state: IdentityState | None = None
    quarantined_until: AwareDatetime | None = None
    quarantine_reason: Text = ""
    quarantine_ticket: Text = Field("", description="Where the matter is kept, such as INC-4711.")

    @property
    def grants(self) -> bool:
        """Whether it changes what the identity may do."""
        named = (self.add_roles, self.remove_roles, self.add_groups, self.remove_groups)
        return any(named) or bool(self.attributes or self.remove_attributes)

    def edit(self, by: str) -> Edit:
        """As the register takes it, asked for by this operator."""
        return Edit(
            roles=Names.parse(RoleName, self.add_roles, self.remove_roles),
            groups=Names.parse(GroupName, self.add_groups, self.remove_groups),
            attributes=tuple(
                (AttributeName.parse(name), parse_attribute_value(value)) for name, value in self.attributes.items()
            ),
            attributes_removed=tuple(map(AttributeName.parse, self.remove_attributes)),
            owner=self.owner,
            note=self.note,
            state=self.state,
            quarantined_until=self.quarantined_until,
            quarantine_reason=self.quarantine_reason,
            quarantine_ticket=self.quarantine_ticket,
            by=by,
        )


class NewSecret(BaseModel):
    """A new password for an identity."""

    model_config = ConfigDict(extra="forbid")

    kind: SecretKind = "password"
    overlap_s: Annotated[int, Field(ge=0, le=OVERLAP_DAYS_MAX * 86_400)] = Field(
        14 * 86_400, description="So long the earlier ones of its kind still work; 0 ends them now."
    )
    note: Text = ""


@ROUTES.on("GET", "/identities", Permission.LOOK, response_model=Page[schemas.Identity])
async def list_identities(  # noqa: PLR0913  one for each filter
    house: Housed,
    caller: Calling,
    part: Parted,
    *,
    match: Annotated[str, Query(max_length=256)] = "*",
    role: Filter = None,
    group: Filter = None,
    state: IdentityState | None = None,
    not_since: Annotated[AwareDatetime | None, Query(description="Not seen since then.")] = None,
    sort: Order = Order.NAME,
) -> Mapping[str, Any]:
    """List identities. A page may be short, or empty, and have a next one."""
    items, behind = await page_of(
        house.register,
        Wanted(match, role, group, state, not_since),
        lambda identity: caller.sees(house.tenant_of(identity)),
        at=house.now(),
        order=sort,
        behind=place_of(part, sort),
        limit=part.limit,
        looked_at_max=LOOKED_AT_MAX,
    )
    return {"items": items, "next": next_behind(behind)}


@ROUTES.on("POST", "/identities", Permission.ENROL, status=HTTPStatus.CREATED, response_model=schemas.IdentityInFull)
async def add_identity(house: Housed, caller: Calling, response: Response, body: NewIdentity) -> dict[str, Any]:
    """Add an identity that nothing proves yet. Roles, groups and attributes take the permission `grant` as well."""
    attributes = dict(body.attributes)
    if body.roles or body.groups or attributes.keys() - ({ATTRIBUTE} if caller.tenant else set()):
        # A directory or a token may prove it: it would act as whatever it was added with.
        caller.require(Permission.GRANT, house.settings, house.now())
    if caller.tenant and attributes.setdefault(ATTRIBUTE, caller.tenant) != caller.tenant:
        raise forbidden(f"you add identities of tenant {caller.tenant!r} alone")
    made = new_identity(
        body.identity,
        at=house.now(),
        roles=body.roles,
        groups=body.groups,
        attributes=attributes,
        owner=body.owner,
        note=body.note,
    )
    added = await house.register.add(made)
    await house.changed()
    return await _answer(house, added, response)


@ROUTES.on("GET", "/identities/{name}", Permission.LOOK, response_model=schemas.IdentityInFull)
async def show_identity(house: Housed, caller: Calling, response: Response, name: Name) -> dict[str, Any]:
    """Show an identity with its credentials. No secret is shown."""
    return await _answer(house, await house.identity(caller, name), response)


@ROUTES.on("PATCH", "/identities/{name}", Permission.ENROL, response_model=schemas.IdentityInFull)
async def change_identity(
    house: Housed,
    caller: Calling,
    response: Response,
    name: Name,
    body: IdentityChange,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Change an identity. What is not named stays; connections that it may no longer have end.

    Roles, groups and attributes take the permission `grant` as well.
    """
    if body.grants:
        caller.require(Permission.GRANT, house.settings, house.now())
    if caller.tenant and (ATTRIBUTE in body.attributes or ATTRIBUTE in body.remove_attributes):
        raise forbidden("you do not move identities from one tenant to another")
    if body.state is IdentityState.REVOKED:
        raise InvalidValue("an identity is revoked by POST /identities/NAME/revocation: that ends all that it has")
    before = await house.identity(caller, name)
    if before.state is IdentityState.REVOKED and body.state is not None:
        # Who may not revoke may not undo it either.
        caller.require(Permission.REVOKE, house.settings, house.now())
    require_match(if_match, etag_of(before.revision))
    edit = body.edit(house.actor.name)
    changed = await house.register.change(name, _unmoved(before, edit) if if_match else edit.apply)
    await house.changed()
    return await _answer(house, changed, response)


@ROUTES.on("DELETE", "/identities/{name}", Permission.GRANT, status=HTTPStatus.NO_CONTENT, act=Act.REVOKE)
async def remove_identity(house: Housed, caller: Calling, name: Name, if_match: IfMatch = None) -> None:
    """Remove an identity. Its connections end, its credentials prove nothing.

    Where a revocation takes two operators, this does.
    """
    require_match(if_match, etag_of((await house.identity(caller, name)).revision))
    await house.register.remove(name)
    await house.changed()


@ROUTES.on(
    "POST",
    "/identities/{name}/credentials",
    Permission.PROVE,
    status=HTTPStatus.CREATED,
    response_model=schemas.ShownCredential,
)
async def rotate_credential(house: Housed, caller: Calling, name: Name, body: NewSecret) -> dict[str, Any]:
    """Give an identity a new password, shown this once. Earlier ones of its kind still work for the overlap."""
    identity = await house.identity(caller, name)
    at, overlap = house.now(), timedelta(seconds=body.overlap_s)
    secret = await renew_secret(house.register, identity, body.kind, at=at, overlap=overlap, note=body.note)
    await house.changed()
    ends = time_text(earlier_end(identity, body.kind, at=at, overlap=overlap))
    return {"identity": name, "kind": body.kind, "earlier_end_at": ends, "password": secret}


@ROUTES.on("DELETE", "/identities/{name}/credentials", Permission.PROVE, status=HTTPStatus.NO_CONTENT)
async def revoke_credentials(house: Housed, caller: Calling, name: Name) -> None:
    """End all credentials of an identity now: nothing proves it any more."""
    await _revoked(house, caller, name, None)


@ROUTES.on("DELETE", "/identities/{name}/credentials/{id}", Permission.PROVE, status=HTTPStatus.NO_CONTENT)
async def revoke_credential(house: Housed, caller: Calling, name: Name, id: Name) -> None:  # noqa: A002
    """End a credential now. Connections that rest on it end."""
    await _revoked(house, caller, name, [id])


async def _revoked(house: House, caller: Caller, name: str, ids: list[str] | None) -> None:
    await house.identity(caller, name)
    await house.register.revoke_credentials(name, ids, at=house.now())
    await house.changed()


async def _answer(house: House, identity: Identity, response: Response) -> dict[str, Any]:
    response.headers["etag"] = etag_of(identity.revision)
    return await shown(house.register, identity, at=house.now())


def etag_of(revision: int) -> str:
    """The ETag of what was last written at this revision."""
    return f'"{revision}"'


def require_match(said: str | None, etag: str) -> None:
    """Raises 412 if somebody changed it since the caller read it."""
    if said is not None and said.strip() not in {etag, "*"}:
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED, "it was changed meanwhile: read it again")


def _unmoved(before: Identity, edit: Edit) -> Any:  # noqa: ANN401  a change, as `Register.change` takes it
    def change(now: Identity) -> Identity:
        require_match(etag_of(before.revision), etag_of(now.revision))
        return edit.apply(now)

    return change
