"""`bartizan operator token`: secrets by which programs act for an operator at the API."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bartizan.api.permissions import ROLES, Permission
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Json, Words, print_json, print_rows
from bartizan.cli.opening import DEFAULT_DATA, operator_named, operators_of
from bartizan.cli.operators_there import create_token_there, revoke_token_there, tokens_there
from bartizan.cli.remote import Server
from bartizan.errors import InvalidValue
from bartizan.identity.records import token_record
from bartizan.identity.tokens import new_token

Action = Literal["create", "list", "revoke"]
Place = tuple[Path, Path | None, str | None]
"""Data directory and configuration of this broker, or another one's server."""

_COLUMNS = {
    "id": "token",
    "label": "label",
    "scopes": "for",
    "created_at": "created",
    "expires_at": "ends",
    "last_used_at": "last used",
}


def token(
    action: Action,
    name: str,
    id: Annotated[str | None, Parameter(show_default=False)] = None,  # noqa: A002
    /,
    *,
    scope: Words = (),
    for_: Annotated[str, Parameter(name="--for")] = "90d",
    label: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Create, list or revoke the tokens by which programs act for an operator at the API.

    A token does what it is for, as far as the roles of its operator give it; never what asks for a recent proof. It
    is shown once.

    For example:

        bartizan operator token create alice --scope look --scope disconnect --for 30d --label "night shift script"

        bartizan operator token list alice

        bartizan operator token revoke alice 5d0c7c3f9a1b2e4d

    Parameters
    ----------
    action
        What to do.
    name
        The operator.
    id
        With revoke: the token, as list shows it.
    scope
        With create: a permission, such as look; may be given several times.
    for_
        With create: how long it is good, such as 30d; 365d at most.
    label
        With create: a remark kept with it.
    """
    if (action == "revoke") != (id is not None):
        raise InvalidValue("the id of a token goes with revoke, and with nothing else")
    if action == "create":
        _tell(_created((data, config, server), name, _scopes(scope), parse_duration(for_), label), as_json=json_output)
    elif action == "list":
        found = asyncio.run(_list(data, config, name)) if server is None else tokens_there(server, name)
        print_rows(found, _COLUMNS, "tokens", as_json=json_output)
    else:
        _revoked((data, config, server), name, id or "")
        if json_output:
            print_json({"operator": name, "revoked": id})
        else:
            print(f"{name}: token {id} is revoked")
    return 0


def _scopes(words: Sequence[str]) -> list[str]:
    known = {permission.value for permission in ROLES}
    if unknown := [word for word in words if word not in known]:
        raise InvalidValue(f"{unknown[0]!r} is no permission: {', '.join(sorted(known))}")
    return [permission.value for permission in Permission if permission.value in words]


def _created(place: Place, name: str, scopes: Sequence[str], lifetime: timedelta, label: str) -> dict[str, Any]:
    data, config, server = place
    if server is not None:
        return create_token_there(server, name, scopes, int(lifetime.total_seconds()), label)
    return asyncio.run(_create(data, config, name, scopes, lifetime, label))


def _revoked(place: Place, name: str, id_: str) -> None:
    data, config, server = place
    if server is not None:
        revoke_token_there(server, name, id_)
    else:
        asyncio.run(_revoke(data, config, name, id_))


def _tell(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print(f"{made['operator']} has a new token, {made['id']}, for {', '.join(made['scopes'])}")
    print(f"  token  {made['token']}   (shown this once)")


async def _create(
    data: Path, config: Path | None, name: str, scopes: Sequence[str], lifetime: timedelta, label: str
) -> dict[str, Any]:
    async with operators_of(data, config) as store:
        operator = await operator_named(store, name)
        made, secret = new_token(operator, scopes, at=datetime.now(UTC), lifetime=lifetime, label=label)
        await store.add_token(made)
    return token_record(made) | {"token": secret}


async def _list(data: Path, config: Path | None, name: str) -> list[dict[str, Any]]:
    async with operators_of(data, config) as store:
        await operator_named(store, name)
        return [token_record(one) for one in await store.tokens(name)]


async def _revoke(data: Path, config: Path | None, name: str, id_: str) -> None:
    async with operators_of(data, config) as store:
        await store.remove_token(name, id_)
