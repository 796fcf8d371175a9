"""`bartizan subscription`: who gets what; of this broker or of one elsewhere."""

from typing import Annotated

from cyclopts import App, Parameter

from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Json, Listing, Text
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server

app = App(name="subscription", help="List Subscriptions of all Sessions: who gets what.")

_COLUMNS = {
    "client_id": "client id",
    "identity": "identity",
    "tenant": "tenant",
    "is_connected": "connected",
    "filter": "filter",
    "qos": "QoS",
    "no_local": "no local",
    "id": "id",
}


@app.command(name="list")
def list_(
    *,
    topic: Text = None,
    identity: Text = None,
    client: Text = None,
    sort: Annotated[str | None, Parameter(show_default=False, allow_leading_hyphen=True)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List Subscriptions of Sessions, connected or away.

    For example:

        bartizan subscription list --topic plant/chicago/press-01/temperature

        bartizan subscription list --client press-01

    Parameters
    ----------
    topic
        Those that get a message with this Topic Name; of a tenant's client, with its root before it.
    identity
        Those of this identity.
    client
        Those of this Client Identifier.
    sort
        By client_id, identity or filter; with `-` before it, the other way round.
    """
    listing = Listing(_COLUMNS, "Subscriptions", as_json=json_output)
    with api_of(data, server) as there:
        for page in there.pages("/subscriptions", topic=topic, identity=identity, client_id=client, sort=sort):
            for each in page:
                listing.add(each)
    listing.end()
    return 0
