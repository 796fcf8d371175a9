"""Who is connected."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from itertools import islice
from time import monotonic
from typing import Annotated, Any, Literal

from fastapi import Query

from bartizan.api import schemas, schemas_live
from bartizan.api.caller import Caller
from bartizan.api.house import Calling, House, Housed
from bartizan.api.paging import Page, Part, Parted, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.sessions import ClientId, Tenant, session_of
from bartizan.api.routing import Routes
from bartizan.broker.ended import every_client
from bartizan.broker.ports import ADMINISTRATIVE_ACTION, ORDERED_REASONS, EnginePort
from bartizan.errors import InvalidValue, NotFound
from bartizan.model.actor import WHY_CHARS_MAX
from bartizan.model.version import version_text

ROUTES = Routes("clients")

Pattern = Annotated[str, Query(max_length=256, description="A pattern; `*` and `?` stand for any characters.")]
Order = Literal["client_id", "-client_id", "connected_at", "-connected_at", "messages_in", "-messages_in",
                "messages_out", "-messages_out", "queued", "-queued"]  # fmt: skip

WILD = frozenset("*?[")
"""What makes a pattern of a name."""

RATES = ("messages_in", "messages_out", "bytes_in", "bytes_out")
LOOKS_APART_S_MAX = 10.0


@ROUTES.on("GET", "/clients", Permission.LOOK, response_model=Page[schemas.Client])
async def list_clients(  # noqa: PLR0913  one for each filter
    house: Housed,
    caller: Calling,
    part: Parted,
    *,
    match: Pattern = "*",
    identity: Pattern = "*",
    listener: Annotated[str | None, Query(max_length=64)] = None,
    role: Annotated[str | None, Query(max_length=128)] = None,
    address: Annotated[str | None, Query(max_length=64)] = None,
    sort: Order = "client_id",
) -> Mapping[str, Any]:
    """List connected clients."""

    def fits(client: Mapping[str, Any]) -> bool:
        return (
            caller.sees(client.get("tenant"))
            and listener in {None, client["listener"]}
            and address in {None, client["address"]}
            and (role is None or role in client["roles"])
            and fnmatchcase(client["client_id"], match)
            and fnmatchcase(client["identity"] or "", identity)
        )

    one_identity = None if WILD & set(identity) else identity
    found = await asyncio.to_thread(_fitting, house.broker.engine, fits, part, sort, one_identity)
    # Those of two tenants may have one Client Identifier.
    return page_of(list(map(_told, found)), part, "client_id", sort, "tenant")


def _fitting(
    engine: EnginePort, fits: Callable[[Mapping[str, Any]], bool], part: Part, sort: str, identity: str | None
) -> list[Mapping[str, Any]]:
    """Those that fit: in the engine's own order no more than a page takes, and those that are called like its cursor."""
    if sort != "client_id":
        return [one for one in every_client(engine, identity=identity) if fits(one)]
    cursor = part.cursor()
    after = str(cursor[0]) if cursor else ""
    alike = [one for one in every_client(engine, client_id=after) if fits(one)] if after else []
    behind = (one for one in every_client(engine, identity=identity, after=after) if fits(one))
    return [*alike, *islice(behind, part.limit + 1)]


@ROUTES.on("GET", "/clients/{client_id:path}", Permission.LOOK, response_model=schemas_live.ClientInFull)
async def show_client(
    house: Housed,
    caller: Calling,
    client_id: ClientId,
    tenant: Tenant = None,
    over_s: Annotated[
        float, Query(ge=0, le=LOOKS_APART_S_MAX, description="Rates between two looks so long apart; 0: none.")
    ] = 0,
) -> Mapping[str, Any]:
    """Show a connected client, with its Session, what it was denied lately, and its rates where these are asked for."""
    client, looked_at = await _found(house, caller, client_id, tenant), monotonic()
    rates = None
    if over_s:
        await asyncio.sleep(over_s)
        before, client = client, await _found(house, caller, client_id, client.get("tenant"))
        rates = _rates(before, client, monotonic() - looked_at)
    with suppress(NotFound):
        session = await session_of(house, client_id, client.get("tenant"))
        return _told(client) | {"session": session, "rates": rates}
    return _told(client) | {"session": None, "rates": rates}


@ROUTES.on("DELETE", "/clients/{client_id:path}", Permission.DISCONNECT, status=HTTPStatus.NO_CONTENT)
async def disconnect_client(
    house: Housed,
    caller: Calling,
    client_id: ClientId,
    tenant: Tenant = None,
    reason: Annotated[
        int, Query(ge=0x80, le=0xFF, description="Reason Code of the DISCONNECT.")
    ] = ADMINISTRATIVE_ACTION,
    why: Annotated[str, Query(max_length=WHY_CHARS_MAX, description="For the record.")] = "",
) -> None:
    """Disconnect a client. Its Session stays, and it may come again."""
    if reason not in ORDERED_REASONS:
        known = ", ".join(f"{code} ({code:#04x})" for code in sorted(ORDERED_REASONS))
        raise InvalidValue(f"a server sends no {reason} by order: {known}")
    client = await _found(house, caller, client_id, tenant)
    found = await house.because(why).hands.disconnect(client_id, reason, client.get("tenant"))
    if not found:
        raise NotFound(f"no client {client_id!r} is connected")


async def _found(house: House, caller: Caller, client_id: str, tenant: str | None) -> Mapping[str, Any]:
    named = await asyncio.to_thread(_named, house, client_id)
    seen = [one for one in named if caller.sees(one.get("tenant")) and (tenant is None or one.get("tenant") == tenant)]
    if not seen:
        raise NotFound(f"no client {client_id!r} is connected")
    if len(seen) > 1:
        raise InvalidValue(f"several tenants have a client {client_id!r}: say whose with ?tenant=")
    return seen[0]


def _named(house: House, client_id: str) -> list[Mapping[str, Any]]:
    return list(every_client(house.broker.engine, client_id=client_id))


def _rates(before: Mapping[str, Any], now: Mapping[str, Any], elapsed_s: float) -> dict[str, float] | None:
    """Null for one that has connected anew between the looks."""
    if before["connected_at_ms"] != now["connected_at_ms"]:
        return None
    rates = {f"{name}_per_s": round((now[name] - before[name]) / elapsed_s, 2) for name in RATES}
    return {"over_s": round(elapsed_s, 2), **rates}


def _told(client: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: client.get(name) for name in schemas.Client.model_fields}
    connected_at = datetime.fromtimestamp(client["connected_at_ms"] / 1000, UTC).isoformat()
    return told | {"version": version_text(client["version"]), "connected_at": connected_at}
