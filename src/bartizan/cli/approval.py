"""`bartizan approval`: what takes two operators at a broker elsewhere, and waits for the second one."""

import json
from typing import Annotated

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.listing import Json, print_json, print_rows
from bartizan.cli.paths import path_of
from bartizan.cli.remote import remote

app = App(name="approval", help="What takes two operators and waits for the second one: at a broker elsewhere.")

At = Annotated[str, Parameter(show_default=False, help="Its API, after `bartizan login`.")]

_COLUMNS = {"id": "approval", "act": "what", "request": "request", "asked_by": "asked by", "ends_at": "until"}


@app.command(name="list")
def list_(*, server: At, json_output: Json = False) -> int:
    """List what waits for a second operator, the oldest first.

    For example:

        bartizan approval list --server https://mqtt.example.com:8444
    """
    with remote(server) as there:
        found = there.get("/approvals")
    print_rows(found, _COLUMNS, "wait", as_json=json_output)
    return 0


@app.command
def show(id: str, /, *, server: At) -> int:  # noqa: A002
    """Show what waits, with what was sent, as JSON: that is what would be done.

    For example:

        bartizan approval show 5d0c7c3f9a1b2e4d --server https://mqtt.example.com:8444

    Parameters
    ----------
    id
        As `bartizan approval list` shows it.
    """
    with remote(server) as there:
        print(json.dumps(there.get(path_of("approvals", id)), indent=2))
    return 0


@app.command
def approve(id: str, /, *, server: At, json_output: Json = False) -> int:  # noqa: A002
    """Agree to what another operator asked for, and have it done: look at it first. Asks for password and code.

    For example:

        bartizan approval approve 5d0c7c3f9a1b2e4d --server https://mqtt.example.com:8444

    Parameters
    ----------
    id
        As `bartizan approval list` shows it.
    """
    with remote(server) as there:
        waiting = there.get(path_of("approvals", id))
        done = there.post(path_of("approvals", id, "approval"))
    if json_output:
        print_json(done)
    else:
        print(f"done: {escaped(waiting['request'])}, asked for by {escaped(waiting['asked_by'])}")
    return 0


@app.command
def refuse(id: str, /, *, server: At) -> int:  # noqa: A002
    """Refuse what another operator asked for, or withdraw what one asked for oneself.

    For example:

        bartizan approval refuse 5d0c7c3f9a1b2e4d --server https://mqtt.example.com:8444

    Parameters
    ----------
    id
        As `bartizan approval list` shows it.
    """
    with remote(server) as there:
        there.delete(path_of("approvals", id))
    print(f"{id}: waits no more")
    return 0
