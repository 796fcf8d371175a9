"""`bartizan retained`: Retained Messages by Topic Filter."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Flag, Json, Listing, print_json, show_record
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.person import person
from bartizan.cli.remote import Remote, Server
from bartizan.errors import InvalidValue

app = App(name="retained", help="List, show or remove Retained Messages by Topic Filter.")

_COLUMNS = {
    "topic": "topic",
    "qos": "QoS",
    "payload_bytes": "octets",
    "identity": "published by",
    "client_id": "client id",
    "tenant": "tenant",
}
_FIELDS = {**_COLUMNS, "properties": "properties", "payload": "payload", "payload_base64": "payload (base64)"}


@app.command(name="list")
def list_(
    filter: str = "#",
    /,
    *,
    limit: Annotated[int | None, Parameter(show_default=False)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List Retained Messages in the order of their topics, without what they say.

    For example:

        bartizan retained list 'plant/+/state'

        bartizan retained list '$SYS/#' --json

    Parameters
    ----------
    filter
        A Topic Filter. Default: all but the server's own.
    limit
        So many at most.
    """
    if limit is not None and limit < 1:
        raise InvalidValue("--limit is at least 1")
    listing = Listing(_COLUMNS, "Retained Messages", as_json=json_output)
    with api_of(data, server) as there:
        for message in islice(_messages(there, filter), limit):
            listing.add(message)
    listing.end()
    return 0


@app.command
def show(topic: str, /, *, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """Show the Retained Message of a topic with its payload and properties. It is on record who read it.

    For example:

        bartizan retained show plant/press-01/state

    Parameters
    ----------
    topic
        The Topic Name.
    """
    with api_of(data, server) as there:
        found = there.get("/retained/message", topic=topic, why=person().why)
    if json_output:
        print_json({key: value for key, value in found.items() if value is not None})
    else:
        show_record(found, _FIELDS)
    return 0


@app.command
def clear(
    filter: str,
    /,
    *,
    yes: Flag = False,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Remove Retained Messages, on record. Subscribers are not told; who subscribes from now on is not sent them.

    For example:

        bartizan retained clear 'plant/old/#'

        bartizan retained clear 'plant/old/#' --yes

    Parameters
    ----------
    filter
        A Topic Filter.
    yes
        Do it; without it, only their number is told.
    """
    with api_of(data, server) as there:
        if not yes:
            count = sum(1 for _ in _messages(there, filter))
            print(f"{count} Retained Messages would be removed: repeat it with --yes")
            return 2
        done = there.delete("/retained", filter=filter, why=person().why)
    if json_output:
        print_json(done)
    else:
        print(f"{done['count']} Retained Messages that {escaped(filter)} matches were removed")
    return 0


def _messages(there: Remote, filter: str) -> Iterator[dict[str, Any]]:
    """Page by page, as they are wanted."""
    for page in there.pages("/retained", filter=filter):
        yield from page
