"""`bartizan retained`: Retained Messages by Topic Filter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.control import told_to
from bartizan.cli.inspected import asked_of
from bartizan.cli.listing import Data, Flag, Json, Listing, print_json, show_record
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.person import person
from bartizan.errors import InvalidValue, NotFound

app = App(name="retained", help="List, show or remove Retained Messages by Topic Filter.")

PAGE = 1_000

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
    for message in _messages(data, filter, limit):
        listing.add(message)
    listing.end()
    return 0


@app.command
def show(topic: str, /, *, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
    """Show the Retained Message of a topic with its payload and properties.

    For example:

        bartizan retained show plant/press-01/state

    Parameters
    ----------
    topic
        The Topic Name.
    """
    if {"+", "#"} & set(topic):
        raise InvalidValue(f"{topic!r} is no Topic Name: `bartizan retained list` takes filters")
    found = asked_of(data, "/v1/retained", filter=topic, limit=1, whole="true")["messages"]
    if not found:
        raise NotFound(f"no message is retained for {topic!r}")
    if json_output:
        print_json(found[0])
    else:
        show_record(found[0], _FIELDS)
    return 0


@app.command
def clear(filter: str, /, *, yes: Flag = False, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
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
    if not yes:
        count = sum(1 for _ in _messages(data, filter, None))
        print(f"{count} Retained Messages would be removed: repeat it with --yes")
        return 2
    root = existing(Path.cwd() / data).root
    done = told_to(root, "/v1/retained/clear", {"filter": filter, "why": person().why})
    if json_output:
        print_json(done)
    else:
        print(f"{done['count']} Retained Messages that {escaped(filter)} matches were removed")
    return 0


def _messages(data: Path, filter: str, limit: int | None) -> Iterator[dict[str, Any]]:
    """Page by page, as they are wanted."""
    after, left = None, limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = asked_of(data, "/v1/retained", filter=filter, after=after, limit=size)
        yield from page["messages"]
        after = page["next"]
        if after is None:
            return
        left = None if left is None else left - len(page["messages"])
