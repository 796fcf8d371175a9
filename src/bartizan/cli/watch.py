"""`bartizan watch`: what happens on a broker, live, with what can be done about it at hand."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Final

from cyclopts import Parameter

from bartizan.cli.listing import Data, Flag, Json
from bartizan.cli.live.look import Snapshot
from bartizan.cli.live.rows import plain
from bartizan.cli.live.source import Source, here, there
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server
from bartizan.errors import ConfigurationError, InvalidValue

EVERY_S: Final = 1.0
"""Time between two looks."""

SHARE_MAX: Final = 0.1
"""At most this share of the time is spent in looking: of a broker with many clients a look takes long."""


def watch(
    *,
    once: Annotated[Flag, Parameter(help="Print one snapshot, with rates over one second, and end.")] = False,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Watch a broker live: rates, clients, denials, findings, responses that wait; and act on what is seen.

    Keys are shown at the bottom: disconnect a client; quarantine, release or revoke an identity, after a look at whom that hits
    and with a reason; acknowledge or mute a finding; confirm or dismiss a response. The view comes with the extra
    `bartizan[watch]`; --once and --json need nothing.

    For example:

        bartizan watch

        bartizan watch --server https://mqtt.example.com:8444

        bartizan watch --once --json

    Parameters
    ----------
    json_output
        Print a JSON object a second, a line each; with --once, one.
    """
    source = here(data) if server is None else there(server)
    if once or json_output:
        for snapshot in snapshots(source):
            print(json.dumps(snapshot.as_dict()) if json_output else "\n".join(plain(snapshot)), flush=True)
            if once:
                break
        return 0
    _show(source)
    return 0


def snapshots(source: Source) -> Iterator[Snapshot]:
    """One a second, from the second look on."""
    before = None
    while True:
        began = time.monotonic()
        now = source.look()
        if before is not None:
            yield Snapshot.between(before, now)
        before = now
        time.sleep(pause_s(time.monotonic() - began))


def pause_s(took_s: float) -> float:
    """How long to wait after a look that took so long."""
    return max(EVERY_S, took_s / SHARE_MAX)


def _show(source: Source) -> None:
    try:
        from bartizan.cli.live.app import Live  # noqa: PLC0415  textual is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise ConfigurationError(
            "the live view needs textual, which is not installed",
            "bartizan watch",
            "pip install 'bartizan[watch]'; --once and --json work without it",
        ) from None
    if not sys.stdout.isatty():
        raise InvalidValue("the live view needs a terminal: for scripts there are --once and --json")
    Live(source, pause_s).run()
