"""What is shown of a snapshot, as text: columns and cells of its lists, the lines above them, what one row says in full.

What peers chose is spelt out and cut: a Client Identifier may be as long as a book, and hold what moves the cursor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from bartizan.broker.log import escaped
from bartizan.cli.duration import ago, span
from bartizan.cli.live.look import Row, Snapshot, key_of

SHOWN_MAX: Final = 200
"""Rows of a list."""

CELL_CHARS_MAX: Final = 28
LONG_CHARS_MAX: Final = 60
BARS: Final = "▁▂▃▄▅▆▇█"
THOUSAND: Final = 1_000
TEN: Final = 10


class List(StrEnum):
    """What there are lists of."""

    CLIENTS = "clients"
    DENIALS = "denials"
    FINDINGS = "findings"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list."""

    head: str
    cell: Callable[[Row], str]
    is_number: bool = False


COLUMNS: Final[Mapping[List, Sequence[Column]]] = {
    List.CLIENTS: (
        Column(
            "client id",
            lambda one: cut(f"{one['client_id']} ({one['tenant']})" if one.get("tenant") else one["client_id"]),
        ),
        Column("identity", lambda one: cut(one["identity"], 18)),
        Column("address", lambda one: one["address"] or "-"),
        Column("since", lambda one: ago(one["connected_at"]), is_number=True),
        Column("in/s", lambda one: amount(one["messages_in_per_s"]), is_number=True),
        Column("out/s", lambda one: amount(one["messages_out_per_s"]), is_number=True),
        Column("queued", lambda one: str(one["queued"]), is_number=True),
        Column("B/s", lambda one: amount(one["bytes_in_per_s"] + one["bytes_out_per_s"]), is_number=True),
        Column("listener", lambda one: cut(one["listener"])),
    ),
    List.DENIALS: (
        Column("no.", lambda one: str(one["number"]), is_number=True),
        Column("last", lambda one: clock(one["last_at"])),
        Column("times", lambda one: str(one["count"]), is_number=True),
        Column("/s", lambda one: amount(one["per_s"]), is_number=True),
        Column("identity", lambda one: cut(one["identity"], 18)),
        Column("action", lambda one: one["action"]),
        Column("topic", lambda one: cut(one["topic"])),
        Column("why", lambda one: one["why"]),
    ),
    List.FINDINGS: (
        Column("no.", lambda one: str(one["number"]), is_number=True),
        Column("last", lambda one: clock(one["last_at"])),
        Column("severity", lambda one: one["severity"]),
        Column("times", lambda one: str(one["count"]), is_number=True),
        Column("finding", lambda one: cut(one["text"], LONG_CHARS_MAX)),
        Column("detector", lambda one: one["detector"]),
    ),
    List.WAITING: (
        Column("no.", lambda one: str(one["number"]), is_number=True),
        Column("when", lambda one: clock(one["at"])),
        Column("action", lambda one: one["action"]),
        Column("of", lambda one: cut(f"{one['about']} {one['name']}".strip())),
        Column("playbook", lambda one: cut(one["playbook"])),
        Column("finding", lambda one: str(one["finding"]), is_number=True),
    ),
}


def rows_of(snapshot: Snapshot, which: List) -> Sequence[Row]:
    """All rows of a list, the first ones first."""
    if which is List.CLIENTS:
        return snapshot.clients
    if which is List.DENIALS:
        return snapshot.denials
    return snapshot.look.findings if which is List.FINDINGS else snapshot.look.waiting


def key(which: List, row: Row) -> str:
    """What tells a row of a list from the others."""
    return "\0".join(key_of(row)) if which is List.CLIENTS else str(row["number"])


def fits(which: List, row: Row, text: str) -> bool:
    """Whether `text` is anywhere in what a row shows."""
    return not text or text.casefold() in " ".join(column.cell(row) for column in COLUMNS[which]).casefold()


def title(snapshot: Snapshot, which: List) -> str:
    """The name of a list, and how many are in it."""
    is_counted = which is List.CLIENTS and "metrics" not in snapshot.look.missing
    count = snapshot.gauge("connected") if is_counted else len(rows_of(snapshot, which))
    return f"{which.value.capitalize()} ({count})"


def above(snapshot: Snapshot, past: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Four lines: what it is, what is there, how much passes, what is refused. `past`: rates of the looks before."""
    status, rates = snapshot.look.status, snapshot.rates
    policy = str(status.get("policy", ""))[:12]
    yield (
        f"Bartizan {status.get('version', '?')}  {status.get('state', 'state not told')}, up {span(status.get('uptime_s', 0))}"
        f"  policy {policy or 'not told'}, epoch {status.get('epoch', '-')}  {snapshot.look.at:%H:%M:%S} UTC"
    )
    yield (
        f"{snapshot.gauge('connected')} connected, {snapshot.gauge('away')} away  {counted(snapshot.gauge('subscriptions'), 'Subscription')}"
        f"  {snapshot.gauge('queued')} queued  {snapshot.gauge('retained')} retained"
    )
    yield "   ".join(
        f"{way} {amount(rates[f'publish_{way}'])} msg/s {amount(rates[f'bytes_{way}'])}B/s {bars(past.get(f'publish_{way}', ()))}"
        for way in ("in", "out")
    )
    yield (
        f"denied {amount(rates['denied'])}/s  logins refused {amount(rates['refused'])}/s"
        f"  malformed {amount(rates['malformed'])}/s  dropped {amount(rates['dropped'])}/s"
    )


def in_full(which: List, row: Row) -> str:
    """What a row says, with what has no column."""
    if which is List.CLIENTS:
        return (
            f"{spelt(row['client_id'])}: identity {spelt(row['identity'])} by {row['method']}, roles {spelt(', '.join(row['roles'])) or '-'}; "
            f"{row['listener']} from {row['address'] or 'a Unix socket'}:{row['port']}, MQTT {row['version']}; "
            f"{counted(row['subscriptions'], 'Subscription')}, {row['inflight']} in flight; {row['messages_in']} messages in, {row['messages_out']} out"
        )
    if which is List.DENIALS:
        rule = f" ({row['rule']})" if row["rule"] else ""
        return (
            f"{spelt(row['identity'])} (client {spelt(row['client_id'])}) may not {row['action']} {spelt(row['topic'])}: "
            f"{row['why']}{rule}, {row['count']} times. bartizan denials approve {row['number']} proposes a grant, or says why none helps"
        )
    if which is List.FINDINGS:
        technique = f", ATT&CK ICS {row['technique']}" if row["technique"] else ""
        return f"{row['severity']} ({row['score']} of 100), {row['detector']}{technique}: {spelt(row['text'])}"
    return f"{row['playbook']} wants to {row['action']} {spelt(row['name'])} since finding {row['finding']}: {spelt(row['text']) or 'confirm or dismiss it'}"


def plain(snapshot: Snapshot) -> Iterator[str]:
    """All of it as lines, for a terminal that shows nothing else."""
    yield from above(snapshot, {})
    for which in List:
        rows = rows_of(snapshot, which)
        yield ""
        yield title(snapshot, which)
        if rows:
            yield from ("  ".join(line).rstrip() for line in aligned(which, rows[:SHOWN_MAX]))
    for what, why in snapshot.look.missing.items():
        yield f"{what}: {why}"


def aligned(which: List, rows: Sequence[Row]) -> list[list[str]]:
    """The heads of a list and the cells of these rows, as wide as their column; numbers end where others of them end."""
    table = [
        [column.head for column in COLUMNS[which]],
        *([column.cell(row) for column in COLUMNS[which]] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = [">" if column.is_number else "<" for column in COLUMNS[which]]
    return [[f"{text:{side}{width}}" for text, side, width in zip(line, sides, widths, strict=True)] for line in table]


def spelt(text: str) -> str:
    """What a peer chose, on one line, at most as long as a line or two."""
    return cut(text, 200)


def cut(text: str, most: int = CELL_CHARS_MAX) -> str:
    """The text spelt out, and no longer than that."""
    # Each character is spelt as ten at most; what is far behind the end is not looked at.
    clear = escaped(text[: most + 1])
    return clear if len(clear) <= most else f"{clear[: most - 1]}…"


def amount(value: float) -> str:
    """A number in few characters: 3, 0.4, 12.3k."""
    for unit, size in (("G", THOUSAND**3), ("M", THOUSAND**2), ("k", THOUSAND)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}" if value >= TEN or value == int(value) else f"{value:.1f}"


def counted(count: int, what: str) -> str:
    """So many of it."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def clock(at: str) -> str:
    """The time of a day; of an earlier day, the day too."""
    moment = datetime.fromisoformat(at).astimezone(UTC)
    is_today = moment.date() == datetime.now(UTC).date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%m-%d %H:%M}"


def bars(values: Sequence[float]) -> str:
    """How values went, the last one at the end, each as high as it is beside the highest."""
    top = max(values, default=0.0)
    return "".join(BARS[0 if top <= 0 else min(len(BARS) - 1, int(value / top * len(BARS)))] for value in values)
