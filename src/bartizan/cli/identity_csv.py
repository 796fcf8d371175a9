"""`bartizan identity import` and `export`: CSV, all or nothing."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bartizan.cli.console import plain_console
from bartizan.cli.listing import Config, Data, Flag, Json, print_json
from bartizan.cli.new_file import whole_text
from bartizan.cli.opening import DEFAULT_DATA, register_of
from bartizan.errors import ConfigurationError
from bartizan.identity.csv_file import ImportRefused, Line, Writer, import_lines, read_lines

STANDARD_INPUT = Path("-")


def import_(
    file: Path,
    /,
    *,
    update: Flag = False,
    dry_run: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Import identities from a CSV file with a header: all of them or none.

    Columns: name; state, roles, groups, owner, note, attr.NAME, password_hash, credentials and more
    (docs/reference/identities.md). Mistakes are told by line, up to 20 at once, exit code 2.

    For example:

        bartizan identity import presses.csv

        bartizan identity import presses.csv --update --dry-run

    Parameters
    ----------
    file
        The file; - for standard input.
    update
        Change identities that exist already: what the file has columns for is replaced, the rest stays.
    dry_run
        Check the file and the identities that it names, and change nothing.
    """
    at = datetime.now(UTC)
    try:
        with _opened(file) as text:
            lines = read_lines(text)
        added, changed = asyncio.run(_import(data, config, lines, at, update=update, dry_run=dry_run))
    except ImportRefused as refused:
        for problem in refused.problems:
            print(f"{file}: {problem}", file=sys.stderr)
        print("bartizan: nothing was imported", file=sys.stderr)
        return refused.exit_code
    if json_output:
        print_json({"added": added, "changed": changed, "dry_run": dry_run})
    else:
        would = "would be " if dry_run else ""
        print(f"{added:,} {would}added, {changed:,} {would}changed")
    return 0


def export(
    file: Path,
    /,
    *,
    credentials: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Export identities into a CSV file that `bartizan identity import` reads.

    For example:

        bartizan identity export identities.csv

        bartizan identity export backup.csv --credentials

    Parameters
    ----------
    file
        The file to make; readable by its owner only.
    credentials
        With password hashes, keys and certificates on record: what a copy on another machine needs.
    """
    count = asyncio.run(_export(data, config, file, secrets=credentials))
    if json_output:
        print_json({"exported": count})
    else:
        print(f"{count:,} identities in {file}")
    return 0


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin
        return
    try:
        with file.open(encoding="utf-8", newline="") as text:
            yield text
    except OSError as error:
        raise ConfigurationError(
            f"the file cannot be read: {error.strerror}", str(file), "name the file to import"
        ) from None


async def _import(
    data: Path, config: Path | None, lines: list[Line], at: datetime, *, update: bool, dry_run: bool
) -> tuple[int, int]:
    console = plain_console(stderr=True)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with register_of(data, config) as register:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("importing", total=len(lines))
            return await import_lines(
                register.store,
                lines,
                at=at,
                update=update,
                dry_run=dry_run,
                told=lambda done: progress.update(task, completed=done),
            )


async def _export(data: Path, config: Path | None, file: Path, *, secrets: bool) -> int:
    async with register_of(data, config) as register:
        # Which columns there are is known when everyone was seen; a second look saves holding them all.
        attributes = sorted({str(key) async for identity in register.everyone() for key, _ in identity.attributes})
        with whole_text(file) as out:
            lines = Writer(out, attributes, secrets=secrets)
            async for identity in register.everyone():
                lines.write(identity)
            return lines.count
