"""`bartizan clients`: who is connected, and how much they send and receive."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bartizan.broker.log import escaped
from bartizan.cli.ask import api_of
from bartizan.cli.console import plain_console
from bartizan.cli.control import asking
from bartizan.cli.duration import ago
from bartizan.cli.listing import Data, Flag, Json
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Remote, Server

PAGE = 1_000
SAMPLE_S = 1.0
"""Time between the two looks that a rate is made of."""

SHOWN_MAX = 200
"""Rows of a table; `--json` has no such bound."""

WIDE = 110
"""Columns of a terminal from which octets and queues are shown as well."""


@dataclass(frozen=True, slots=True)
class Client:
    """One connected client. Rates are per second."""

    client_id: str
    identity: str
    method: str
    roles: tuple[str, ...]
    listener: str
    address: str
    port: int
    version: str
    connected_at: str
    subscriptions: int
    queued: int
    inflight: int
    messages_in: int
    messages_out: int
    messages_in_per_s: float
    messages_out_per_s: float
    bytes_in_per_s: float
    bytes_out_per_s: float
    tenant: str | None = None
    """The tenant whose client it is."""

    @classmethod
    def between(cls, before: Mapping[str, Any] | None, now: Mapping[str, Any], elapsed_s: float) -> Self:
        """From two looks at it; rates are 0 for one that was not there at the first."""
        same = before is not None and before["connected_at"] == now["connected_at"]

        def rate(key: str) -> float:
            return round((now[key] - before[key]) / elapsed_s, 2) if same and before is not None else 0.0

        plain = {key: now[key] for key in _PLAIN}
        return cls(
            **plain,
            roles=tuple(now["roles"]),
            tenant=now.get("tenant"),
            connected_at=datetime.fromisoformat(now["connected_at"]).isoformat(timespec="seconds"),
            messages_in_per_s=rate("messages_in"),
            messages_out_per_s=rate("messages_out"),
            bytes_in_per_s=rate("bytes_in"),
            bytes_out_per_s=rate("bytes_out"),
        )


_PLAIN = (
    "client_id",
    "identity",
    "method",
    "listener",
    "address",
    "port",
    "version",
    "subscriptions",
    "queued",
    "inflight",
    "messages_in",
    "messages_out",
)


def clients(
    *,
    data: Data = DEFAULT_DATA,
    watch: Flag = False,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show who is connected, with rates over one second.

    For example:

        bartizan clients

        bartizan clients --watch

        bartizan clients --json

    Parameters
    ----------
    watch
        Look again and again, until Ctrl-C. With --json: one JSON array a line.
    """
    with api_of(data, server) as there:
        looks = _looks(there)
        if watch:
            _watch(looks, json_output=json_output)
        elif json_output:
            print(_json(next(looks)))
        else:
            console = plain_console()
            console.print(_table(next(looks), wide=console.width >= WIDE))
    return 0


def running_clients(root: Path) -> list[Mapping[str, Any]]:
    """Who is connected to the broker of this data directory, as its engine tells it."""
    found: list[Mapping[str, Any]] = []
    after = ""
    with asking(root) as broker:
        while True:
            page = broker.get("/v1/clients", params={"after": after, "limit": PAGE}).raise_for_status().json()
            found += page
            if len(page) < PAGE:
                return found
            after = page[-1]["client_id"]


def _looks(there: Remote) -> Iterator[list[Client]]:
    """A list a second, from the second look on."""
    before, looked_at = _all(there), time.monotonic()
    while True:
        time.sleep(SAMPLE_S)
        now, now_at = _all(there), time.monotonic()
        yield [Client.between(before.get(key), now[key], now_at - looked_at) for key in now]
        before, looked_at = now, now_at


def _all(there: Remote) -> dict[tuple[str, str | None], Mapping[str, Any]]:
    return {(each["client_id"], each["tenant"]): each for page in there.pages("/clients") for each in page}


def _watch(looks: Iterator[list[Client]], *, json_output: bool) -> None:
    if json_output or not sys.stdout.isatty():
        for look in looks:
            print(_json(look) if json_output else _plain(look), flush=True)
        return
    console = plain_console()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for look in looks:
            live.update(_table(look, wide=console.width >= WIDE), refresh=True)


def _json(look: Sequence[Client]) -> str:
    return json.dumps([asdict(client) for client in look])


def _plain(look: Sequence[Client]) -> str:
    return "\n".join(
        f"{escaped(client.client_id)} {client.address} "
        f"{client.messages_in_per_s:g}/s in {client.messages_out_per_s:g}/s out"
        for client in look
    )


def _table(look: Sequence[Client], *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", caption_justify="left")
    for column in ("client id", "identity", "listener", "address"):
        table.add_column(column, overflow="fold")
    for column in ("since", "in/s", "out/s", *(("B in/s", "B out/s", "queued") if wide else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for client in look[:SHOWN_MAX]:
        shown = f"{client.client_id} ({client.tenant})" if client.tenant else client.client_id
        chosen = (shown, client.identity, client.listener, f"{client.address}:{client.port}")
        figures = [client.messages_in_per_s, client.messages_out_per_s]
        if wide:
            figures += [client.bytes_in_per_s, client.bytes_out_per_s, client.queued]
        table.add_row(
            *(escape(escaped(text)) for text in chosen),
            ago(client.connected_at),
            *(f"{figure:g}" for figure in figures),
        )
    more = f", {len(look) - SHOWN_MAX} not shown (--json shows all)" if len(look) > SHOWN_MAX else ""
    table.caption = f"{len(look)} connected{more}"
    return table
