"""Records in the forms that other programs read: JSON lines, CSV, CEF; OCSF is in a module of its own."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from bartizan.audit.canonical import canonical
from bartizan.audit.ocsf import address_of, ocsf
from bartizan.audit.severity import severity_of

Record = Mapping[str, Any]

COLUMNS: Final = (
    "log",
    "seq",
    "at",
    "kind",
    "what",
    "target",
    "who",
    "uid",
    "from",
    "why",
    "outcome",
    "of",
    "before",
    "after",
    "detail",
    "previous",
    "hash",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

_CEF_SEVERITY: Final = {"info": 3, "warning": 6, "error": 9}


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """As they are kept: the hash of each can be computed again."""
    return (canonical(each).decode() + "\n" for each in records)


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """A head, and a line each; a cell that a spreadsheet would compute begins with an apostrophe."""
    room = io.StringIO()
    writer = csv.writer(room)
    writer.writerow(COLUMNS)
    for each in records:
        writer.writerow([_cell(each.get(name)) for name in COLUMNS])
        yield room.getvalue()
        room.seek(0)
        room.truncate()
    yield room.getvalue()


def ocsf_lines(records: Iterable[Record]) -> Iterator[str]:
    """Events of the Open Cybersecurity Schema Framework, a JSON object a line; checkpoints are none."""
    product = _product()
    return (json.dumps(ocsf(each, product)) + "\n" for each in records if each["kind"] != "checkpoint")


def cef_lines(records: Iterable[Record]) -> Iterator[str]:
    """ArcSight's Common Event Format; checkpoints are none."""
    product = _product()
    return (_cef(each, product) + "\n" for each in records if each["kind"] != "checkpoint")


FORMATS: Final[Mapping[str, Callable[[Iterable[Record]], Iterator[str]]]] = {
    "json": json_lines,
    "csv": csv_lines,
    "ocsf": ocsf_lines,
    "cef": cef_lines,
}


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cef(record: Record, product: str) -> str:
    severity = _CEF_SEVERITY[severity_of(record)]
    name = record["what"] if record["kind"] != "outcome" else f"{record['what']} {record.get('outcome', '')}"
    head = ("CEF:0", "Bartizan", "Bartizan", product, record["what"], name, str(severity))
    said = {
        "rt": int(datetime.fromisoformat(record["at"]).timestamp() * 1000),
        "externalId": f"{record['log']}/{record['seq']}",
        "cat": record["kind"],
        "suser": record.get("who"),
        "src": address_of(record),
        "duser": record.get("target"),
        "outcome": record.get("outcome"),
        "reason": record.get("why"),
        "msg": _message(record),
    }
    extension = " ".join(f"{key}={_escaped(str(value))}" for key, value in said.items() if value not in (None, ""))
    return "|".join([head[0], *(_escaped_head(part) for part in head[1:]), extension])


def _message(record: Record) -> str:
    parts = {name: record[name] for name in ("before", "after", "detail") if name in record}
    return canonical(parts).decode() if parts else ""


def _escaped_head(text: str) -> str:
    return " ".join(text.splitlines()).replace("\\", "\\\\").replace("|", "\\|")


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace("=", "\\=")
    return plain.replace("\r", "\\r").replace("\n", "\\n")


def _product() -> str:
    try:
        return version("bartizan")
    except PackageNotFoundError:
        return "0"
