"""`bartizan broker`: what a broker that runs says of itself; of this data directory or elsewhere."""

import json
from typing import Annotated

from cyclopts import App, Parameter

from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Json, print_json, print_rows, show_record
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server

app = App(name="broker", help="What a running broker says of itself: status, listeners, traces, settings, metrics.")

_STATUS = {
    "state": "state",
    "version": "version",
    "uptime_s": "up for, s",
    "clients_connected": "clients",
    "identities": "identities",
    "policy": "policy",
    "epoch": "epoch",
}
_TRACES = {
    "trace": "trace",
    "client_id": "client id",
    "tenant": "tenant",
    "payloads": "payloads",
    "by": "by",
    "began_at": "since",
    "until": "until",
}
_LISTENERS = {
    "name": "listener",
    "address": "address",
    "transport": "transport",
    "protocol": "protocol",
    "tls": "TLS",
    "client_certificates": "certificates",
    "anonymous": "anonymous",
}


@app.command
def status(*, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """Show its state, version and numbers. Exit code 1 if it does not accept clients.

    For example:

        bartizan broker status --server https://mqtt.example.com:8444
    """
    with api_of(data, server) as there:
        found = there.get("/status")
    if json_output:
        print_json(found)
    else:
        show_record(found, _STATUS)
    return 0 if found["state"] == "ready" else 1


@app.command
def listeners(*, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """List where clients connect.

    For example:

        bartizan broker listeners
    """
    with api_of(data, server) as there:
        found = there.get("/listeners")
    print_rows(found, _LISTENERS, "listeners", as_json=json_output)
    return 0


@app.command
def traces(
    *,
    end: Annotated[int | None, Parameter(show_default=False)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List the traces under way: of which client, and who looks; or end one.

    For example:

        bartizan broker traces

        bartizan broker traces --end 3

    Parameters
    ----------
    end
        The number of a trace: whoever reads it is told that it was stopped.
    """
    with api_of(data, server) as there:
        if end is not None:
            there.delete(f"/traces/{end}")
            print(f"trace {end}: ended")
            return 0
        found = there.get("/traces")
    print_rows(found, _TRACES, "traces", as_json=json_output)
    return 0


@app.command
def config(*, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Print the settings that it started with, as JSON. Secrets are hidden; files are named, not read.

    For example:

        bartizan broker config
    """
    with api_of(data, server) as there:
        print(json.dumps(there.get("/config"), indent=2))
    return 0


@app.command
def metrics(*, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Print every metric, in Prometheus' form.

    For example:

        bartizan broker metrics
    """
    with api_of(data, server) as there:
        print(there.text("/metrics"), end="")
    return 0
