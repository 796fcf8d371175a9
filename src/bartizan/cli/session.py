"""`bartizan session`: all that the broker keeps for a client, connected or away."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.acted import session_words
from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Json, Text, print_json, second, show_record, show_table
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.paths import path_of
from bartizan.cli.remote import Server

app = App(name="session", help="Show Sessions, and discard them: Subscriptions, queue, Will, denials of their client.")

SESSION = {
    "expiry": "session expiry",
    "queue": "queue",
    "inflight": "in flight",
    "received": "QoS 2 open",
    "will_text": "Will",
}
_FIELDS = {
    "client_id": "client id",
    "tenant": "tenant",
    "identity": "identity",
    "roles": "roles",
    "state": "state",
    "version": "MQTT",
    **SESSION,
}
_SUBSCRIPTIONS = {
    "filter": "subscription",
    "qos": "QoS",
    "no_local": "no local",
    "retain_as_published": "retain as published",
    "retain_handling": "retain handling",
    "id": "id",
    "per_delivery": "each delivery decided",
}
_DENIALS = {"number": "denial", "last": "last", "count": "times", "action": "action", "topic": "topic", "why": "why"}


@app.command
def show(
    client: str,
    /,
    *,
    tenant: Text = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show a Session: whose it is, what it subscribes to, what waits for it, its Will, and what it was denied lately.

    For example:

        bartizan session show press-01

        bartizan session show press-01 --json

    Parameters
    ----------
    client
        The Client Identifier. It may be away, as long as it has a Session.
    tenant
        The tenant whose client it is.
    """
    with api_of(data, server) as there:
        found = there.get(path_of("sessions", client), tenant=tenant)
    if json_output:
        print_json(found)
        return 0
    show_session(found, _FIELDS)
    return 0


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
    with api_of(data, server) as there:
        ended = there.delete(path_of("sessions", client_id), tenant=tenant)
    if json_output:
        print_json(ended)
    else:
        print(f"session {escaped(ended['client_id'])} of {escaped(ended['identity'])}: {session_words(ended)}")
    return 0


def show_session(found: Mapping[str, Any], fields: Mapping[str, str]) -> None:
    """What there is to say of a Session; `fields` are those before its Subscriptions."""
    show_record({**found, **_words(found)}, fields)
    more = found["subscription_count"] - len(found["subscriptions"])
    left = f", {more} not shown" if more else ""
    show_table(found["subscriptions"], _SUBSCRIPTIONS, f"{found['subscription_count']} Subscriptions{left}")
    if found["denials"]:
        rows = [{**one, "last": second(one["last_at"])} for one in found["denials"]]
        show_table(rows, _DENIALS, "denied lately: `bartizan denials` tells what to do about it")


def _words(found: Mapping[str, Any]) -> dict[str, str]:
    ends = "" if found["ends_at"] is None else f", ends {second(found['ends_at'])}"
    expiry = found["session_expiry_s"]
    return {
        "state": "connected" if found["is_connected"] else f"away{ends}",
        "expiry": "never" if expiry is None else f"{expiry} s",
        "queue": f"{found['queued']} of {found['queued_messages_max']} messages, "
        f"{found['queued_bytes']} of {found['queued_bytes_max']} octets",
        "will_text": "" if found["will"] is None else _will(found["will"]),
    }


def _will(will: Mapping[str, Any]) -> str:
    flags = [f"QoS {will['qos']}", *(["retained"] if will["retain"] else []), f"{will['payload_bytes']} octets"]
    delay = [f"{will['delay_s']} s after the connection"] if will["delay_s"] else []
    due = [] if will["due_at"] is None else [f"due {second(will['due_at'])}"]
    return f"{will['topic']} ({', '.join([*flags, *delay, *due])})"
