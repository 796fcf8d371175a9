"""`bartizan audit export`: records for other programs."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

from cyclopts import Parameter

from bartizan.audit.export import FORMATS
from bartizan.cli.audit_filter import NO_FILTER, Filter
from bartizan.errors import AlreadyExists


def export(
    *,
    format_: Annotated[Literal["json", "csv", "ocsf", "cef"], Parameter(name="--format")] = "json",
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    wanted: Filter = NO_FILTER,
) -> int:
    """Write records for other programs: JSON lines as they are kept, CSV, OCSF events or CEF lines.

    For example:

        bartizan audit export --format csv --since 30d --out november.csv

        bartizan audit export --format ocsf --log events | gzip > events.json.gz

    Parameters
    ----------
    format_
        json, csv, ocsf or cef.
    out
        The file to write, readable by its owner only; there must be none of this name. Default: standard output.
    """
    with _opened(out) as file:
        _write(FORMATS[format_](wanted.found(None)), file)
    return 0


def _write(lines: Iterable[str], file: TextIO) -> None:
    file.writelines(lines)


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        out.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise AlreadyExists(f"{out} exists already: name another file") from None
    with out.open("w", encoding="utf-8", newline="") as file:
        yield file
