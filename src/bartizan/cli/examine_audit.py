"""What `doctor` looks at of the record of changes and events: whether it is as it was written."""

from collections.abc import Iterator
from pathlib import Path

from bartizan.audit.events import EVENTS
from bartizan.audit.keys import public_key
from bartizan.audit.trail import CHANGES
from bartizan.audit.verify import verify
from bartizan.cli.finding import Finding, Level
from bartizan.config.layout import DataDirectory
from bartizan.errors import StoreUnavailable


def audit_log(data: DataDirectory) -> Iterator[Finding]:
    """What is wrong with it; nothing where it is whole, or where there is none yet."""
    for name in (CHANGES, EVENTS):
        directory = data.audit / name
        if directory.exists():
            yield from _log(directory, data)


def _log(directory: Path, data: DataDirectory) -> Iterator[Finding]:
    try:
        found = verify(directory, public_key(data.audit))
    except (OSError, StoreUnavailable) as error:
        yield Finding(Level.FAULT, f"the audit log of {directory.name} cannot be read: {error}", f"look at {directory}")
        return
    if not found.is_whole:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        what = f"the audit log of {directory.name} is not as it was written: {found.problems[0]}{more}"
        yield Finding(Level.FAULT, what, "bartizan audit verify")
