"""`bartizan events`: what happens, as it happens; of this broker or of one elsewhere."""

import sys
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.log import Level, line_of
from bartizan.cli.ask import api_of
from bartizan.cli.listing import Data, Json, Text
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server
from bartizan.errors import EngineUnavailable, InvalidValue


def events(
    *,
    kind: Text = None,
    level: Level = "info",
    identity: Text = None,
    count: Annotated[int | None, Parameter(name=["--count", "-C"], show_default=False)] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show events as they happen, whatever the level of the log is, until Ctrl-C or the end of the login.

    For example:

        bartizan events --level warning

        bartizan events --kind "certificate_*" --json

    Parameters
    ----------
    kind
        A pattern of kinds, such as finding or "operator_*".
    level
        Of this severity, or worse.
    identity
        Of this identity alone.
    count
        End after so many.
    """
    if count is not None and count < 1:
        raise InvalidValue("--count is at least 1")
    told = 0
    with api_of(data, server) as there:
        for name, event in there.events("/events", kind=kind, level=level, identity=identity):
            if name == "end":
                print("the login is over, or the broker stops", file=sys.stderr)
                return 1
            if name == "lost":
                print(f"... {event['count']} events more than could be told ...", file=sys.stderr)
                continue
            fields = {key: value for key, value in event.items() if key != "level"}
            print(line_of(fields, as_json=json_output), flush=True)
            told += 1
            if told == count:
                return 0
    raise EngineUnavailable("the broker went away")
