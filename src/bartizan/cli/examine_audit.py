"""What `doctor` looks at of the record of changes and events: whether it is as it was written."""

from collections.abc import Iterator

from bartizan.audit.verify import Verified, verify_all
from bartizan.cli.finding import Finding, Level
from bartizan.config.layout import DataDirectory
from bartizan.errors import StoreUnavailable


def audit_log(data: DataDirectory) -> Iterator[Finding]:
    """What is wrong with it; nothing where it is whole."""
    try:
        logs = verify_all(data.audit)
    except (OSError, StoreUnavailable) as error:
        yield Finding(Level.FAULT, f"the audit log cannot be read: {error}", f"look at {data.audit}")
        return
    for name, found in logs.items():
        yield from _log(name, found)


def _log(name: str, found: Verified) -> Iterator[Finding]:
    if not found.is_whole:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        what = f"the audit log of {name} is not as it was written: {found.problems[0]}{more}"
        yield Finding(Level.FAULT, what, "bartizan audit verify")
