"""How bad a record is, for programs that ask."""

from collections.abc import Mapping
from typing import Any, Literal

from bartizan.audit.damage import ALTERED

Severity = Literal["info", "warning", "error"]


def severity_of(record: Mapping[str, Any]) -> Severity:
    """That of an event; a change that failed is a warning, and a log that was altered an error."""
    detail = record.get("detail")
    told = detail.get("severity") if isinstance(detail, Mapping) else None
    if record["what"] == ALTERED or told == "error":
        return "error"
    if told == "warning" or record.get("outcome") == "failed":
        return "warning"
    return "info"
