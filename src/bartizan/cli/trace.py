"""`bartizan trace`: the packets of one client as they pass. The broker takes them down; secrets never leave it."""

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import Parameter

from bartizan.broker.log import escaped
from bartizan.cli.ask import api_of
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Flag, Json, Text
from bartizan.cli.new_file import opened
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.pcapng import PcapNg
from bartizan.cli.person import person
from bartizan.cli.remote import Server
from bartizan.cli.trace_lines import text
from bartizan.errors import EngineUnavailable


def trace(
    client: str,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for")] = "60s",
    payloads: Flag = False,
    pcapng: Annotated[Path | None, Parameter(show_default=False)] = None,
    why: Annotated[str, Parameter(show_default=False)] = "",
    tenant: Text = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show the packets of one client as they pass, also over its next connections. It is on record who looked.

    Passwords and authentication data are never shown. Ctrl-C ends it before its time.

    For example:

        bartizan trace press-01 --why "no data since 14:00"

        bartizan trace press-01 --for 10m --payloads --json

        bartizan trace press-01 --pcapng press-01.pcapng

    Parameters
    ----------
    client
        The Client Identifier. It need not be connected.
    for_
        How long, such as 60s or 10m; one hour at most.
    payloads
        Show what the messages say, too; of each packet 64 KiB at most.
    pcapng
        Write a file for Wireshark, too. Where payloads are left out, so they are there.
    why
        The reason, for the record.
    tenant
        The tenant whose client it is.
    """
    asked: dict[str, object] = {
        "client_id": client,
        "for_s": parse_duration(for_).total_seconds(),
        "payloads": payloads,
        "octets": pcapng is not None,
        "tenant": tenant,
        "why": why or person().why,
    }
    with ExitStack() as stack:
        broker = stack.enter_context(api_of(data, server))
        file = None if pcapng is None else stack.enter_context(_private(pcapng))
        writer = None if file is None else PcapNg(file, f"bartizan trace {client}")
        return _follow(broker.lines("/traces", asked), writer, as_json=json_output)


def _follow(lines: Iterator[dict[str, Any]], writer: PcapNg | None, *, as_json: bool) -> int:
    for line in lines:
        if "trace" in line:
            print(f"tracing {escaped(line['client_id'])} until {line['until']}; Ctrl-C ends it", file=sys.stderr)
        elif "ended" in line:
            is_over = line["ended"] == "time"
            print("the time is over" if is_over else "the broker ended it", file=sys.stderr)
            return 0 if is_over else 1
        else:
            _show(line, writer, as_json=as_json)
    raise EngineUnavailable("the broker went away before the trace was over")


def _show(line: dict[str, Any], writer: PcapNg | None, *, as_json: bool) -> None:
    octets = line.pop("octets", None)
    if writer is not None:
        if octets is not None:
            writer.packet(
                line["connection"],
                line["at_ms"],
                base64.b64decode(octets),
                line["bytes"],
                from_client=line["direction"] == "in",
            )
        elif line.get("type") == "closed":
            writer.closed(line["connection"], line["at_ms"])
    print(json.dumps(line) if as_json else text(line), flush=True)


def _private(path: Path) -> BinaryIO:
    """A new file that its owner alone may read: it may hold what the messages say."""
    # Unbuffered: Wireshark may look while it grows, and Ctrl-C leaves whole packets.
    return os.fdopen(opened(path), "wb", buffering=0)
