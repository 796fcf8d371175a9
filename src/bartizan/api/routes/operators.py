"""The people who run the broker."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from bartizan.api import schemas
from bartizan.api.caller import Caller
from bartizan.api.house import Calling, House, Housed
from bartizan.api.paging import Match, Page, Parted, matching, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import IfMatch, Text, etag_of, require_match
from bartizan.api.routing import Routes
from bartizan.config.api import Act
from bartizan.errors import Conflict
from bartizan.identity.operators import new_operator, parse_roles, with_password, without_totp
from bartizan.identity.passwords import generate_secret
from bartizan.identity.records import operator_record
from bartizan.model.ids import parse_remark
from bartizan.model.operator import Operator, OperatorRole

ROUTES = Routes("operators")

END_LOGINS: Final = "operator.end-logins"

Name = Annotated[str, Path(max_length=64)]
Roles = Annotated[list[OperatorRole], Field(min_length=1, max_length=len(OperatorRole))]


class NewOperator(BaseModel):
    """An operator. Its password is made, and shown this once."""

    model_config = ConfigDict(extra="forbid")

    operator: Annotated[str, Field(max_length=64)]
    roles: Roles = Field(default_factory=lambda: [OperatorRole.VIEWER])
    tenant: Annotated[str, Field(max_length=128)] = ""
    note: Text = ""


class OperatorChange(BaseModel):
    """What is to change; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    roles: Roles | None = None
    tenant: Annotated[str, Field(max_length=128)] | None = None
    note: Text | None = None
    enabled: bool | None = None
    unlink: bool = Field(default=False, description="Forget who it is to the OpenID Provider: its logins by that end.")

    def apply(self, before: Operator) -> Operator:
        """The operator after it."""
        return replace(
            before,
            roles=before.roles if self.roles is None else parse_roles([role.value for role in self.roles]),
            tenant=before.tenant if self.tenant is None else parse_remark(self.tenant),
            note=before.note if self.note is None else parse_remark(self.note),
            is_enabled=before.is_enabled if self.enabled is None else self.enabled,
            subject="" if self.unlink else before.subject,
        )


@ROUTES.on("GET", "/operators", Permission.OPERATORS_LOOK, response_model=Page[schemas.Operator])
async def list_operators(
    house: Housed,
    part: Parted,
    match: Match = "*",
    sort: Literal["operator", "-operator", "created_at", "-created_at"] = "operator",
) -> Mapping[str, Any]:
    """List operators."""
    every = [operator_record(one) for one in await house.operators.operators()]
    return page_of(matching(every, "operator", match), part, "operator", sort)


@ROUTES.on(
    "POST",
    "/operators",
    Permission.OPERATORS,
    status=HTTPStatus.CREATED,
    act=Act.OPERATORS,
    response_model=schemas.ShownOperator,
)
async def add_operator(house: Housed, response: Response, body: NewOperator) -> dict[str, Any]:
    """Add an operator. A password is made and shown this once; a second factor comes after the first login."""
    made = new_operator(
        body.operator,
        at=house.now(),
        roles=[role.value for role in body.roles],
        tenant=body.tenant,
        note=body.note,
    )
    password = generate_secret()
    added = await house.operators.add_operator(with_password(made, password, must_change=True))
    return _answer(added, response) | {"password": password}


@ROUTES.on("GET", "/operators/{name}", Permission.OPERATORS_LOOK, response_model=schemas.Operator)
async def show_operator(house: Housed, response: Response, name: Name) -> dict[str, Any]:
    """Show an operator and its second factors. No secret is shown."""
    return _answer(await house.operator(name), response)


@ROUTES.on("PATCH", "/operators/{name}", Permission.OPERATORS, act=Act.OPERATORS, response_model=schemas.Operator)
async def change_operator(
    house: Housed,
    caller: Calling,
    response: Response,
    name: Name,
    body: OperatorChange,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Change an operator. One that is disabled is out at once."""
    require_other(caller, name)
    changed = await _changed(house, name, body.apply, if_match)
    return _answer(changed, response)


@ROUTES.on("DELETE", "/operators/{name}", Permission.OPERATORS, status=HTTPStatus.NO_CONTENT, act=Act.OPERATORS)
async def remove_operator(house: Housed, caller: Calling, name: Name, if_match: IfMatch = None) -> None:
    """Remove an operator. Its logins end."""
    require_other(caller, name)
    require_match(if_match, etag_of((await house.operator(name)).revision))
    await house.operators.remove_operator(name)
    house.sessions.close_all(name)


@ROUTES.on(
    "POST",
    "/operators/{name}/password",
    Permission.OPERATORS,
    act=Act.OPERATORS,
    response_model=schemas.ShownOperator,
)
async def reset_operator_password(house: Housed, name: Name) -> dict[str, Any]:
    """Make a new password for an operator, shown this once. Second factors stay; its logins end."""
    password = generate_secret()
    changed = await _changed(house, name, lambda one: with_password(one, password, must_change=True), None)
    house.sessions.close_all(name)
    return operator_record(changed) | {"password": password}


@ROUTES.on("DELETE", "/operators/{name}/totp", Permission.OPERATORS, act=Act.OPERATORS, response_model=schemas.Operator)
async def reset_operator_totp(house: Housed, caller: Calling, name: Name) -> dict[str, Any]:
    """Take one-time codes away from an operator whose phone is gone. Its logins end."""
    require_other(caller, name)
    changed = await _changed(house, name, without_totp, None)
    house.sessions.close_all(name)
    return operator_record(changed)


@ROUTES.on("DELETE", "/operators/{name}/logins", Permission.OPERATORS, status=HTTPStatus.NO_CONTENT)
async def end_operator_logins(house: Housed, name: Name) -> None:
    """End all logins of an operator."""
    await house.operator(name)
    span = await house.trail.begin(END_LOGINS, f"operator/{name}", before={"logins": len(house.sessions.of(name))})
    async with house.trail.settling(span, END_LOGINS):
        house.sessions.close_all(name)


async def _changed(house: House, name: str, change: Callable[[Operator], Operator], if_match: str | None) -> Operator:
    before = await house.operator(name)
    require_match(if_match, etag_of(before.revision))
    return await house.operators.replace_operator(change(before))


def require_other(caller: Caller, name: str) -> None:
    """Nobody raises, disables or removes themselves: not by mistake, and not with a borrowed login."""
    if caller.session is not None and caller.session.operator == name:
        raise Conflict("that is you: another administrator has to do this")


def _answer(operator: Operator, response: Response) -> dict[str, Any]:
    response.headers["etag"] = etag_of(operator.revision)
    return operator_record(operator)
