"""Tokens by which programs act for operators."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from bartizan.api import schemas
from bartizan.api.house import Housed
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routing import Routes
from bartizan.config.api import Act
from bartizan.identity.records import token_record
from bartizan.identity.tokens import new_token

ROUTES = Routes("operators")

Name = Annotated[str, Path(max_length=64)]


class NewToken(BaseModel):
    """A token: for what, and for how long."""

    model_config = ConfigDict(extra="forbid")

    scopes: Annotated[list[Permission], Field(min_length=1, max_length=len(Permission))]
    lifetime_s: Annotated[int, Field(ge=60, le=365 * 86_400)] = 90 * 86_400
    label: Text = ""


@ROUTES.on("GET", "/operators/{name}/tokens", Permission.OPERATORS_LOOK, response_model=list[schemas.Token])
async def list_tokens(house: Housed, name: Name) -> Sequence[dict[str, Any]]:
    """List the tokens of an operator, the oldest first. What proves them is not shown."""
    operator = await house.operator(name)
    return [token_record(one) for one in await house.operators.tokens(operator.name)]


@ROUTES.on(
    "POST",
    "/operators/{name}/tokens",
    Permission.OPERATORS,
    status=HTTPStatus.CREATED,
    act=Act.OPERATORS,
    response_model=schemas.ShownToken,
)
async def add_token(house: Housed, name: Name, body: NewToken) -> dict[str, Any]:
    """Make a token for an operator, shown this once. It does what it is for, and nothing that asks for a recent proof."""
    operator = await house.operator(name)
    scopes = [scope.value for scope in body.scopes]
    lifetime = timedelta(seconds=body.lifetime_s)
    made, secret = new_token(operator, scopes, at=house.now(), lifetime=lifetime, label=body.label)
    await house.operators.add_token(made)
    return token_record(made) | {"token": secret}


@ROUTES.on("DELETE", "/operators/{name}/tokens/{id}", Permission.OPERATORS, status=HTTPStatus.NO_CONTENT)
async def revoke_token(house: Housed, name: Name, id: Annotated[str, Path(max_length=64)]) -> None:  # noqa: A002
    """Revoke a token. It opens nothing any more."""
    await house.operators.remove_token(name, id)
