"""Groups: who is in one has its roles. And roles: who has which, through what."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from bartizan.api import schemas
from bartizan.api.house import House, Housed
from bartizan.api.paging import Match, Page, Parted, matching, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import IfMatch, Many, Text, etag_of, require_match
from bartizan.api.routing import Routes
from bartizan.errors import InvalidValue
from bartizan.identity.edit import Names
from bartizan.identity.groups import change_group as change
from bartizan.identity.groups import group_with_members, groups_with_sizes
from bartizan.identity.register import new_group
from bartizan.identity.roles import change_holders, granted, role_with_holders, roles_with_holders
from bartizan.model.group import Group
from bartizan.model.ids import IdentityName, RoleName
from bartizan.model.principal import ANONYMOUS_ROLE

ROUTES = Routes("groups and roles")

Name = Annotated[str, Path(max_length=64)]


class NewGroup(BaseModel):
    """A group, with nobody in it."""

    model_config = ConfigDict(extra="forbid")

    group: Annotated[str, Field(max_length=64)]
    roles: Many = Field(default_factory=list)
    note: Text = ""


class GroupChange(BaseModel):
    """What is to change; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    add_roles: Many = Field(default_factory=list)
    remove_roles: Many = Field(default_factory=list)
    add_members: Many = Field(default_factory=list)
    remove_members: Many = Field(default_factory=list)
    note: Text | None = None


class Holders(BaseModel):
    """Who gets or loses a role: all of them or none."""

    model_config = ConfigDict(extra="forbid")

    identities: Many = Field(default_factory=list)
    groups: Many = Field(default_factory=list)


@ROUTES.on("GET", "/groups", Permission.LOOK_ALL, response_model=Page[schemas.GroupWithSize])
async def list_groups(
    house: Housed,
    part: Parted,
    match: Match = "*",
    sort: Literal["group", "-group", "member_count", "-member_count"] = "group",
) -> Mapping[str, Any]:
    """List groups, with how many are in each."""
    return page_of(matching(await groups_with_sizes(house.register), "group", match), part, "group", sort)


@ROUTES.on("POST", "/groups", Permission.GROUPS, status=HTTPStatus.CREATED, response_model=schemas.GroupInFull)
async def add_group(house: Housed, response: Response, body: NewGroup) -> dict[str, Any]:
    """Add a group, with nobody in it."""
    made = new_group(body.group, at=house.now(), roles=body.roles, note=body.note)
    added = await house.register.add_group(made)
    await house.changed()
    return await _answer(house, added, response)


@ROUTES.on("GET", "/groups/{name}", Permission.LOOK_ALL, response_model=schemas.GroupInFull)
async def show_group(house: Housed, response: Response, name: Name) -> dict[str, Any]:
    """Show a group and who is in it."""
    return await _answer(house, await house.register.group(name), response)


@ROUTES.on("PATCH", "/groups/{name}", Permission.GROUPS, response_model=schemas.GroupInFull)
async def change_group(
    house: Housed, response: Response, name: Name, body: GroupChange, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change a group and who is in it, all of that at once or nothing. What is not named stays."""
    roles = Names.parse(RoleName, body.add_roles, body.remove_roles)
    members = Names.parse(IdentityName, body.add_members, body.remove_members)
    await change(house.register, name, roles, body.note, members, meets=_unmoved(if_match))
    await house.changed()
    return await _answer(house, await house.register.group(name), response)


@ROUTES.on("DELETE", "/groups/{name}", Permission.GROUPS, status=HTTPStatus.NO_CONTENT)
async def remove_group(
    house: Housed,
    name: Name,
    with_members: Annotated[bool, Query(description="Take its members out of it first.")] = False,  # noqa: FBT002
    if_match: IfMatch = None,
) -> None:
    """Remove a group. Its members stay, and lose the roles that they had by it."""
    await house.register.remove_group(name, with_members=with_members, meets=_unmoved(if_match))
    await house.changed()


@ROUTES.on("GET", "/roles", Permission.LOOK_ALL, response_model=Page[schemas.Role])
async def list_roles(
    house: Housed,
    part: Parted,
    match: Match = "*",
    sort: Literal["role", "-role", "identity_count", "-identity_count"] = "role",
) -> Mapping[str, Any]:
    """List the roles of the policy, and those that somebody has though the policy lacks them."""
    every = await roles_with_holders(house.register, _in_policy(house))
    return page_of(matching(every, "role", match), part, "role", sort)


@ROUTES.on("GET", "/roles/{name}", Permission.LOOK_ALL, response_model=schemas.RoleInFull)
async def show_role(house: Housed, name: Name) -> dict[str, Any]:
    """Show who has a role: by itself, or through which group."""
    return await role_with_holders(house.register, name, _in_policy(house))


@ROUTES.on("POST", "/roles/{name}/grants", Permission.GROUPS, status=HTTPStatus.NO_CONTENT)
async def grant_role(house: Housed, name: Name, body: Holders) -> None:
    """Give a role of the policy to identities and groups, all of them or none."""
    await _held(house, granted(name, _in_policy(house)), body)


@ROUTES.on("POST", "/roles/{name}/revocations", Permission.GROUPS, status=HTTPStatus.NO_CONTENT)
async def revoke_role(house: Housed, name: Name, body: Holders) -> None:
    """Take a role from identities and groups, all of them or none. It holds for live connections too."""
    await _held(house, Names.parse(RoleName, [], [name]), body)


async def _held(house: House, what: Names[RoleName], body: Holders) -> None:
    names, groups = (list(dict.fromkeys(some)) for some in (body.identities, body.groups))
    if not names and not groups:
        raise InvalidValue("name an identity or a group")
    await change_holders(house.register, what, names, groups)
    await house.changed()


def _unmoved(if_match: str | None) -> Callable[[Group], None] | None:
    """In the transaction that changes it: nobody slips in between."""
    return None if if_match is None else lambda group: require_match(if_match, etag_of(group.revision))


def _in_policy(house: House) -> set[str]:
    return {*house.broker.in_force.policy.role_names, ANONYMOUS_ROLE}


async def _answer(house: House, group: Group, response: Response) -> dict[str, Any]:
    response.headers["etag"] = etag_of(group.revision)
    return await group_with_members(house.register, group)
