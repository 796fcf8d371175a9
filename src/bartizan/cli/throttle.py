"""`bartizan throttle`: an identity publishes more slowly for a while. Of a broker that runs; it holds over a restart."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.control import asked_of, told_to
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Json, minute, print_json, print_rows
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.paths import path_of
from bartizan.cli.remote import Server, remote

app = App(name="throttle", help="Have an identity publish more slowly for a while than its roles let it.")

_COLUMNS = {
    "identity": "identity",
    "messages_per_s": "messages/s",
    "bytes_per_s": "octets/s",
    "ends": "until",
    "by": "by",
    "reason": "reason",
}

Rate = Annotated[int, Parameter(show_default=False)]


@app.command
def add(
    name: str,
    /,
    *,
    messages_per_s: Rate = 0,
    bytes_per_s: Rate = 0,
    for_: Annotated[str, Parameter(name="--for", help="How long, such as 2h.")] = "1h",
    reason: Annotated[str, Parameter(show_default=False, help="Why, and which ticket.")] = "",
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Throttle an identity: each of its connections publishes so fast and no faster. At once.

    Who is faster is read more slowly, and disconnected after `publish_excess_max_s`, as with the limits of a role.

    For example:

        bartizan throttle add press-01 --messages-per-s 5 --for 2h --reason INC-4711

    Parameters
    ----------
    name
        The identity.
    messages_per_s
        PUBLISH packets per second.
    bytes_per_s
        Octets of them per second.
    """
    until = (datetime.now(UTC) + parse_duration(for_)).isoformat()
    body = {"messages_per_s": messages_per_s, "bytes_per_s": bytes_per_s, "until": until, "reason": reason}
    told: dict[str, Any]
    if server is None:
        told = told_to(existing(Path.cwd() / data).root, path_of("v1", "throttles", name, "put"), body)
    else:
        with remote(server) as there:
            told = there.put(path_of("identities", name, "throttle"), body)
    if json_output:
        print_json(told)
    else:
        print(f"{escaped(told['identity'])} is throttled until {minute(told['until'])}Z")
    return 0


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """List who is throttled.

    For example:

        bartizan throttle list
    """
    if server is None:
        found = asked_of(existing(Path.cwd() / data).root, "/v1/throttles")
    else:
        with remote(server) as there:
            found = there.every("/throttles")
    rows = [{**each, "ends": f"{minute(each['until'])}Z"} for each in found]
    print_rows(found, _COLUMNS, "throttled", as_json=json_output, shown=rows)
    return 0


@app.command
def remove(name: str, /, *, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Throttle an identity no more.

    For example:

        bartizan throttle remove press-01

    Parameters
    ----------
    name
        The identity.
    """
    if server is None:
        told_to(existing(Path.cwd() / data).root, path_of("v1", "throttles", name, "remove"))
    else:
        with remote(server) as there:
            there.delete(path_of("identities", name, "throttle"))
    print(f"{escaped(name)} is throttled no more")
    return 0
