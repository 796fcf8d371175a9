"""How the verbs that look at the identity store print: a table for eyes, JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from bartizan.broker.log import escaped
from bartizan.cli.console import plain_console
from bartizan.model.credential import CertificateCredential, Credential

Data = Annotated[Path, Parameter(help="The broker's data directory.")]
Config = Annotated[
    Path | None, Parameter(help="The broker's configuration file. Default: bartizan.toml of the data directory.")
]
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="Print JSON.")]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Words = Annotated[Sequence[str], Parameter(negative=(), show_default=False)]
Text = Annotated[str | None, Parameter(show_default=False)]

Rows = Sequence[Mapping[str, Any]]

SHOWN_MAX = 200
"""Rows of a table; `--json` has no such bound."""

IN_ONE_PIECE = frozenset({"id", "successor", "kind"})


class Listing:
    """A list of any length: as JSON one after the other, as a table the first `SHOWN_MAX`."""

    def __init__(self, columns: Mapping[str, str], what: str, *, as_json: bool) -> None:
        self._columns = columns
        self._what = what
        self._as_json = as_json
        self._shown: list[Mapping[str, Any]] = []
        self._count = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """The next one."""
        if self._as_json:
            print(",\n " if self._count else "[", end="")
            print(json.dumps(record), end="")
        elif self._count < SHOWN_MAX:
            self._shown.append(record)
        self._count += 1

    def end(self) -> None:
        """That was all."""
        if self._as_json:
            print("]" if self._count else "[]")
            return
        more = f", {self._count - SHOWN_MAX} not shown (--json shows all)" if self._count > SHOWN_MAX else ""
        show_table(self._shown, self._columns, f"{self._count} {self._what}{more}")


def show_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], caption: str) -> None:
    """Rows below their heads; `columns` is heads by field."""
    console = plain_console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for field, head in columns.items():
        # What is copied by hand stays in one piece.
        table.add_column(head, overflow="fold", no_wrap=field in IN_ONE_PIECE)
    for row in rows:
        table.add_row(*(escape(_cell(field, row.get(field))) for field in columns))
    console.print(table, soft_wrap=False)
    console.print(caption, style="dim", markup=False)


def print_rows(found: Rows, columns: Mapping[str, str], what: str, *, as_json: bool, shown: Rows | None = None) -> None:
    """A list that is short by its nature: all of it as one JSON value, or as a table of `shown` (itself, if not given)."""
    if as_json:
        print_json(found)
    else:
        show_table(found if shown is None else shown, columns, f"{len(found)} {what}")


def show_record(record: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """The fields of one thing, each on a line, without the empty ones."""
    console = plain_console(soft_wrap=True)
    for field, name in names.items():
        if text := _cell(field, record.get(field)):
            console.print(f"{name:<14}{text}", markup=False)


def plain(value: Any) -> str:  # noqa: ANN401  whatever a record holds
    """A value as people read it; what others chose cannot move the cursor."""
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case datetime():
            return minute(value)
    if isinstance(value, Mapping):
        value = " ".join(f"{key}={item}" for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = " ".join(map(str, value))
    return escaped(str(value))


def as_time(at: datetime | str) -> datetime:
    """A time in UTC; also of one as JSON has it, or as `minute` spelt it."""
    told = datetime.fromisoformat(at) if isinstance(at, str) else at
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def minute(at: datetime | str) -> str:
    """A time in UTC, to the minute; also of one as JSON has it."""
    return f"{as_time(at):%Y-%m-%d %H:%M}"


def second(at: datetime | str) -> str:
    """The same, to the second."""
    return f"{as_time(at):%Y-%m-%d %H:%M:%S}"


def _cell(field: str, value: Any) -> str:  # noqa: ANN401  as `plain`
    if isinstance(value, str) and field.endswith(("_at", "_until")):
        # An end may be said in words.
        with suppress(ValueError):
            return minute(value)
    return plain(value)


def print_json(value: object) -> None:
    """One JSON value; times as ISO 8601."""
    print(json.dumps(value, default=lambda at: at.isoformat()))


def ends_at(credential: Credential) -> str:
    """When a credential ends or ended, and by what; empty if it does not end."""
    if credential.revoked_at is not None:
        return f"revoked {plain(credential.revoked_at)}"
    not_after = credential.not_after if isinstance(credential, CertificateCredential) else None
    return plain(min((end for end in (credential.expires_at, not_after) if end is not None), default=None))
