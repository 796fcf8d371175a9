"""`bartizan client`: who is connected, one of them in full, and out with it; of this broker or of one elsewhere."""

from typing import Annotated

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Json, Listing, Text, print_json, show_record
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.paths import path_of
from bartizan.cli.remote import Server
from bartizan.cli.session import SESSION, show_session

app = App(name="client", help="List and show who is connected; disconnect one. See also clients, which shows rates.")

_COLUMNS = {
    "client_id": "client id",
    "identity": "identity",
    "tenant": "tenant",
    "listener": "listener",
    "address": "address",
    "connected_at": "since",
    "subscriptions": "subscriptions",
    "queued": "queued",
    "messages_in": "in",
    "messages_out": "out",
}
_SHOW = {
    "client_id": "client id",
    "identity": "identity",
    "tenant": "tenant",
    "roles": "roles",
    "method": "proved by",
    "listener": "listener",
    "address": "address",
    "port": "port",
    "version": "MQTT",
    "connected_at": "since",
    "messages_in": "messages in",
    "messages_out": "messages out",
    "bytes_in": "octets in",
    "bytes_out": "octets out",
    "messages_in_per_s": "in/s",
    "messages_out_per_s": "out/s",
    "bytes_in_per_s": "octets in/s",
    "bytes_out_per_s": "octets out/s",
}
RATES_OVER_S = 1

Tenant = Annotated[
    str | None, Parameter(show_default=False, help="Whose client it is, where several tenants have one.")
]


@app.command(name="list")
def list_(
    *,
    match: Text = None,
    identity: Text = None,
    listener: Text = None,
    role: Text = None,
    address: Text = None,
    sort: Annotated[str | None, Parameter(show_default=False, allow_leading_hyphen=True)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List who is connected.

    For example:

        bartizan client list --match "press-*" --sort -queued

    Parameters
    ----------
    match
        Client Identifiers that fit this pattern; `*` and `?` stand for any characters.
    identity
        Identities that fit this pattern.
    listener
        Connected there.
    role
        Acting in this role.
    address
        Connected from there.
    sort
        By client_id, connected_at, messages_in, messages_out or queued; with `-` before it, the most first.
    """
    wanted = {"match": match, "identity": identity, "listener": listener, "role": role, "address": address}
    listing = Listing(_COLUMNS, "connected", as_json=json_output)
    with api_of(data, server) as there:
        for page in there.pages("/clients", **wanted, sort=sort):
            for each in page:
                listing.add(each)
    listing.end()
    return 0


@app.command
def show(
    client_id: str,
    /,
    *,
    tenant: Tenant = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show a client that is connected, with its rates over one second, its Session, and what it was denied lately.

    For example:

        bartizan client show press-01

    Parameters
    ----------
    client_id
        Its Client Identifier.
    """
    with api_of(data, server) as there:
        found = there.get(path_of("clients", client_id), tenant=tenant, over_s=RATES_OVER_S)
    if json_output:
        print_json(found)
        return 0
    show_record(found | (found["rates"] or {}), _SHOW)
    if found["session"] is not None:
        show_session(found["session"], SESSION)
    return 0


@app.command
def disconnect(
    client_id: str,
    /,
    *,
    tenant: Tenant = None,
    reason: Annotated[int | None, Parameter(show_default=False)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
) -> int:
    """Disconnect a client. Its Session stays, and it may come again: who must not is disabled, quarantined or revoked.

    For example:

        bartizan client disconnect press-01

    Parameters
    ----------
    client_id
        Its Client Identifier.
    reason
        The Reason Code of the DISCONNECT, such as 0x8B (Server shutting down). Default: 0x98, Administrative action.
    """
    with api_of(data, server) as there:
        there.delete(path_of("clients", client_id), tenant=tenant, reason=reason)
    print(f"{escaped(client_id)}: disconnected")
    return 0
