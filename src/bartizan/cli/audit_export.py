"""`bartizan audit export`: records for other programs."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.audit.export import FORMATS
from bartizan.cli.audit_filter import NO_FILTER, Filter
from bartizan.cli.new_file import whole_text


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
    with nullcontext(sys.stdout) if out is None else whole_text(out) as file:
        file.writelines(FORMATS[format_](wanted.found(None)))
    return 0
