"""`bartizan ban`: who may not connect, whatever proves it. A running broker cuts whom a new ban meets, at once."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.acted import connections
from bartizan.cli.control import RunningBroker, told_to
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Flag, Json, Text, minute, print_json, show_table
from bartizan.cli.opening import DEFAULT_DATA, existing, register_of
from bartizan.cli.paths import path_of
from bartizan.cli.person import operator
from bartizan.cli.remote import Server, remote
from bartizan.errors import EngineUnavailable, InvalidValue
from bartizan.model.ban import Ban, BanOf, new_ban
from bartizan.respond.bans import Bans

app = App(
    name="ban",
    help="Ban who may not connect, whatever proves it: an identity, a certificate, a Client Identifier, an address.",
)

_COLUMNS = {"id": "id", "of": "of", "what": "what", "ends": "until", "by": "by", "reason": "reason"}

Identity = Annotated[str | None, Parameter(show_default=False, help="Whoever proves to be this identity.")]
Serial = Annotated[
    str | None, Parameter(show_default=False, help="The certificate with this serial number, in hexadecimal.")
]
Issuer = Annotated[
    str,
    Parameter(show_default=False, help="With --serial: its issuer, such as CN=Plant CA. Default: every one."),
]
ClientId = Annotated[str | None, Parameter(show_default=False, help="Whoever has this Client Identifier.")]
Address = Annotated[
    str | None, Parameter(show_default=False, help="An address, or a prefix such as 192.0.2.0/24 or 2001:db8::/64.")
]


@app.command
def add(
    *,
    identity: Identity = None,
    serial: Serial = None,
    issuer: Issuer = "",
    client_id: ClientId = None,
    address: Address = None,
    for_: Annotated[
        str | None,
        Parameter(name="--for", show_default=False, help="How long, such as 2d. Default: until it is removed."),
    ] = None,
    reason: Annotated[str, Parameter(show_default=False, help="Why, and which ticket.")] = "",
    dry_run: Annotated[Flag, Parameter(help="Only say who would be cut.")] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Ban an identity, a certificate, a Client Identifier or an address. Whoever it meets is cut at once.

    What is banned already is banned as this says. Who is cut keeps its Session for as long as it would have without
    the connection; its Will is not published. An address is refused before TLS, the rest before any password is looked at.

    For example:

        bartizan ban add --address 192.0.2.0/24 --for 2h --reason "tries passwords, INC-4711"

        bartizan ban add --identity press-01 --dry-run
    """
    of, what = _named(identity, serial, client_id, address)
    at = datetime.now(UTC)
    until = None if for_ is None else at + parse_duration(for_)
    ban = new_ban(of, what, at=at, until=until, issuer=issuer, reason=reason, by=operator())
    if dry_run:
        return _preview(ban, data, server, as_json=json_output)
    if server is not None:
        with remote(server) as there:
            return _tell(there.post("/bans", _body(ban)), as_json=json_output)
    root = existing(Path.cwd() / data).root
    if RunningBroker.on(root) is not None:
        return _tell(told_to(root, "/v1/bans", _body(ban)), as_json=json_output)

    async def alone() -> dict[str, Any]:
        async with register_of(data, config) as register:
            return (await Bans(register.store, None).add(ban)).as_dict()

    return _tell(asyncio.run(alone()), as_json=json_output)


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False) -> int:
    """List the bans that hold, the oldest first.

    For example:

        bartizan ban list
    """
    if server is None:
        found = asyncio.run(_held(data, config))
    else:
        with remote(server) as there:
            found = there.every("/bans")
    if json_output:
        print_json(found)
    else:
        show_table([_row(each) for each in found], _COLUMNS, f"{len(found)} bans")
    return 0


@app.command
def remove(
    ban_id: Text = None,
    /,
    *,
    identity: Identity = None,
    serial: Serial = None,
    issuer: Issuer = "",
    client_id: ClientId = None,
    address: Address = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
) -> int:
    """End a ban: who met it may connect again.

    For example:

        bartizan ban remove --address 192.0.2.0/24

        bartizan ban remove 0d1f8a3c5b7e9f02

    Parameters
    ----------
    ban_id
        Its id in `bartizan ban list`; or name what is banned.
    """
    if ban_id is None:
        of, what = _named(identity, serial, client_id, address)
        ban_id = new_ban(of, what, at=datetime.now(UTC), issuer=issuer).id
    elif any((identity, serial, issuer, client_id, address)):
        raise InvalidValue("name the ban by its id, or by what is banned: one of the two")
    if server is not None:
        with remote(server) as there:
            there.delete(path_of("bans", ban_id))
        print(f"ban {ban_id} is removed")
        return 0
    root = existing(Path.cwd() / data).root
    if RunningBroker.on(root) is not None:
        removed = told_to(root, path_of("v1", "bans", ban_id, "remove"))
    else:
        removed = asyncio.run(_removed(data, config, ban_id))
    print(f"{removed['of']} {escaped(removed['what'])} is banned no more")
    return 0


async def _held(data: Path, config: Path | None) -> list[dict[str, Any]]:
    async with register_of(data, config) as register:
        return [ban.as_dict() for ban in await Bans(register.store, None).every(datetime.now(UTC))]


async def _removed(data: Path, config: Path | None, id_: str) -> dict[str, Any]:
    async with register_of(data, config) as register:
        return (await Bans(register.store, None).remove(id_, datetime.now(UTC))).as_dict()


def _named(identity: str | None, serial: str | None, client_id: str | None, address: str | None) -> tuple[BanOf, str]:
    given = {
        BanOf.IDENTITY: identity,
        BanOf.SERIAL: serial,
        BanOf.CLIENT_ID: client_id,
        BanOf.ADDRESS: address,
    }
    named = [(of, what) for of, what in given.items() if what is not None]
    if len(named) != 1:
        raise InvalidValue("--identity, --serial, --client-id or --address: one of the four")
    return named[0]


def _body(ban: Ban) -> dict[str, object]:
    until = {} if ban.until is None else {"until": ban.until.isoformat()}
    return {"of": ban.of.value, "what": ban.what, "issuer": ban.issuer, "reason": ban.reason, **until}


def _preview(ban: Ban, data: Path, server: str | None, *, as_json: bool) -> int:
    clients: list[dict[str, Any]] = []
    if server is not None:
        with remote(server) as there:
            told = there.get("/bans/preview", of=ban.of.value, what=ban.what, issuer=ban.issuer)
        clients, count = told["clients"], told["count"]
    else:
        # Where no broker runs nobody is connected.
        with suppress(EngineUnavailable):
            clients = told_to(existing(Path.cwd() / data).root, "/v1/bans/preview", _body(ban))["clients"]
        count = len(clients)
    if as_json:
        print_json(clients)
        return 0
    print("\n".join([*connections(clients, count), f"{count} connections would be cut"]))
    return 0


def _tell(banned: Mapping[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(banned)
        return 0
    ends = "" if banned["until"] is None else f" until {minute(banned['until'])}Z"
    later = "" if banned["is_in_force"] else "; no broker runs: from its next start"
    print(f"{banned['of']} {escaped(banned['what'])} is banned{ends}{later}")
    cut = banned["cut"]
    if cut:
        print("\n".join([f"{len(cut)} connections cut:", *connections(cut, len(cut))]))
    return 0


def _row(ban: Mapping[str, Any]) -> dict[str, object]:
    issuer = f" of {ban['issuer']}" if ban["issuer"] else ""
    return {
        **ban,
        "what": f"{ban['what']}{issuer}",
        "ends": "removed" if ban["until"] is None else f"{minute(ban['until'])}Z",
    }
