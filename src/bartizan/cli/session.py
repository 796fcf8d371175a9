"""`bartizan session`: what a client left with the broker, or has there now."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.acted import session_words
from bartizan.cli.listing import Data, Json, Text, print_json
from bartizan.cli.observed import told_to
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.remote import Server, remote

app = App(name="session", help="Discard Sessions, with their Subscriptions and queues.")


@app.command
def discard(
    client_id: str,
    /,
    *,
    tenant: Annotated[Text, Parameter(help="The tenant whose client it is.")] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Discard a Session with its Subscriptions, what is queued and what is in flight. Its Will is not published.

    A client that is connected is told so (0x98), and may come again: it begins anew.

    For example:

        bartizan session discard press-01

    Parameters
    ----------
    client_id
        The Client Identifier.
    """
    ended: dict[str, Any]
    if server is None:
        root = existing(Path.cwd() / data).root
        ended = told_to(root, "/v1/sessions/discard", {"client_id": client_id, "tenant": tenant})
    else:
        whose = "" if tenant is None else f"?{urlencode({'tenant': tenant})}"
        with remote(server) as there:
            ended = there.delete(f"/sessions/{quote(client_id, safe='')}{whose}")
    if json_output:
        print_json(ended)
    else:
        print(f"session {escaped(ended['client_id'])} of {escaped(ended['identity'])}: {session_words(ended)}")
    return 0
