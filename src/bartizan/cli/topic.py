"""`bartizan topic`: which topics there are, level by level."""

from typing import Any

from cyclopts import App

from bartizan.cli.ask import api_of
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Json, print_json, show_table
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server

app = App(name="topic", help="Show which topics there are, and what is at each.")

SHOWN_MAX = 500
"""Rows of a table; `--json` has no such bound."""

_COLUMNS = {
    "topic": "topic",
    "retained": "retained",
    "retained_bytes": "octets",
    "subscriptions": "subscriptions",
    "used": "used",
}

_RATES = {"messages_per_s": "messages/s", "bytes_per_s": "octets/s"}


@app.command
def tree(
    prefix: str = "",
    /,
    *,
    depth: int = 1,
    over: str | None = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show topics below a prefix: how much is retained and subscribed to at each and below it, and was published lately.

    Subscriptions stand where their filter does: `+` and `#` are levels here. `used` counts pairs of an identity and a
    rule of the policy that were first used there.

    For example:

        bartizan topic tree

        bartizan topic tree plant/chicago --depth 2

        bartizan topic tree plant --over 5s

    Parameters
    ----------
    prefix
        Whole levels, such as plant/chicago. Default: everything but the server's own.
    depth
        So many levels below it.
    over
        Count for so long, at most 60s, what is published, and show it a second.
    """
    over_s = None if over is None else parse_duration(over).total_seconds()
    with api_of(data, server) as there:
        found = there.get("/topics", prefix=prefix, depth=depth, over_s=over_s)
    if json_output:
        print_json(found)
        return 0
    rows: list[dict[str, Any]] = [{"topic": name, **what} for name, what in found["topics"].items()]
    hidden = len(rows) - SHOWN_MAX
    more = f", {hidden} not shown (--json shows all)" if hidden > 0 else ""
    left_out = sum(found["left_out"].values())
    rest = "; there are too many to be told one by one" if left_out else ""
    columns = _COLUMNS if over_s is None else _COLUMNS | _RATES
    show_table(rows[:SHOWN_MAX], columns, f"{len(rows)} topics{more}{rest}")
    return 0
