"""The record of changes and events: read, searched, exported, verified. Nothing here changes it."""

import asyncio
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as File
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Path, Query
from pydantic import AwareDatetime
from starlette.responses import StreamingResponse

from bartizan.api import schemas_security as schemas
from bartizan.api.house import House, Housed
from bartizan.api.paging import Page, Part, Parted, cursor_of
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.audit.export import FORMATS
from bartizan.audit.keys import public_key
from bartizan.audit.search import Wanted, latest, record, records
from bartizan.audit.segments import CHANGES, EVENTS, LOGS
from bartizan.audit.verify import verify_all
from bartizan.errors import Conflict, InvalidValue, NotFound

ROUTES = Routes("audit")

SIGNS: Final[Mapping[str, str]] = {CHANGES: "c", EVENTS: "e"}
DIGITS_MAX: Final = 15
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/x-ndjson",
    "ocsf": "application/x-ndjson",
    "csv": "text/csv",
    "cef": "text/plain",
}
TEXT: Final[dict[str, Any]] = {"schema": {"type": "string"}}

Log = Literal["changes", "events"]
Record = Mapping[str, Any]
Pattern = Annotated[str | None, Query(max_length=256)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which records."""

    wanted: Wanted
    logs: tuple[str, ...]


def _asked(  # noqa: PLR0913  one for each filter
    *,
    who: Annotated[str | None, Query(max_length=256, description="A pattern: who did it.")] = None,
    what: Annotated[str | None, Query(max_length=256, description="Such as `identity.set`, or `credential.*`.")] = None,
    target: Annotated[str | None, Query(max_length=256, description="Such as `press-01`, or `group/line-3`.")] = None,
    kind: Literal["change", "outcome", "event", "checkpoint"] | None = None,
    outcome: Literal["done", "failed"] | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    text: Pattern = None,
    log: Log | None = None,
) -> Asked:
    return Asked(Wanted(who, what, target, kind, outcome, since, until, text), LOGS if log is None else (log,))


Filtered = Annotated[Asked, Depends(_asked)]


class Lines(StreamingResponse):
    """As many lines as there are."""

    media_type = MEDIA_TYPES["json"]


@ROUTES.on("GET", "/audit/records", Permission.AUDIT, response_model=Page[schemas.AuditRecord])
async def list_audit_records(
    house: Housed, part: Parted, asked: Filtered, sort: Literal["at", "-at"] = "at"
) -> Mapping[str, Any]:
    """List records of both logs, in order of time, or the newest first."""
    return await asyncio.to_thread(_page, _directory(house), asked, part, is_down=sort == "-at")


@ROUTES.on("GET", "/audit/records/{id}", Permission.AUDIT, response_model=schemas.AuditRecord)
async def show_audit_record(house: Housed, id: Annotated[str, Path(max_length=32)]) -> dict[str, Any]:  # noqa: A002
    """Show one record: `c17` is the 17th of the changes, `e17` of the events."""
    log = next((log for log, sign in SIGNS.items() if id.startswith(sign)), None)
    digits = id[1:]
    if log is None or not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS_MAX:
        raise InvalidValue("that is no record: c17 is the 17th of the changes, e17 of the events")
    found = await asyncio.to_thread(record, _directory(house) / log, int(digits))
    if found is None:
        raise NotFound("there is no such record, or it is not as it was written: POST /audit/verification tells")
    return {"record": id, "content": found}


@ROUTES.on(
    "GET",
    "/audit/export",
    Permission.AUDIT,
    response_class=Lines,
    responses={200: {"content": dict.fromkeys(sorted(set(MEDIA_TYPES.values())), TEXT)}},
)
async def export_audit(
    house: Housed,
    asked: Filtered,
    format: Literal["json", "csv", "ocsf", "cef"] = "json",  # noqa: A002
) -> Lines:
    """Export records for other programs: JSON lines as they are kept, CSV, OCSF events or CEF lines."""
    directory = _directory(house)
    found = (content for _, content in _found(directory, asked, dict.fromkeys(asked.logs, 0)))
    return Lines(FORMATS[format](found), media_type=MEDIA_TYPES[format])


@ROUTES.on("POST", "/audit/verification", Permission.AUDIT, response_model=schemas.AuditVerified)
async def verify_audit(house: Housed) -> dict[str, Any]:
    """Verify the record: name what was altered, removed, reordered, cut off or forged. It is read whole."""
    if house.verifying.locked():
        raise Conflict("the record is being verified already: wait for that")
    async with house.verifying:
        found = await asyncio.to_thread(verify_all, _directory(house))
    return {
        "whole": all(each.is_whole for each in found.values()),
        "logs": {name: each.as_dict() for name, each in found.items()},
    }


@ROUTES.on("GET", "/audit/key", Permission.AUDIT, response_model=schemas.AuditKey)
async def show_audit_key(house: Housed) -> dict[str, str]:
    """Show the public key that verifies the record. Keep it on another machine."""
    found = await asyncio.to_thread(public_key, _directory(house))
    if found is None:
        raise NotFound("nothing was recorded yet: the first record makes the key")
    return {"name": found.name, "pem": found.pem}


def _page(directory: File, asked: Asked, part: Part, *, is_down: bool) -> dict[str, Any]:
    cursor = part.cursor()
    reached = _begin(directory, is_down=is_down) if cursor is None else _reached(cursor)
    found = _found(directory, asked, reached, is_down=is_down)
    page = list(islice(found, part.limit + 1))
    shown, more = page[: part.limit], len(page) > part.limit
    for name, content in shown:
        reached[name] = content["seq"]
    items = [{"record": f"{SIGNS[name]}{content['seq']}", "content": content} for name, content in shown]
    return {"items": items, "next": cursor_of(*(reached[name] for name in LOGS)) if more else None}


def _begin(directory: File, *, is_down: bool) -> dict[str, int]:
    """What stands before the first page. What is recorded while somebody pages backwards is in no page."""
    if not is_down:
        return dict.fromkeys(LOGS, 0)
    newest = {name: next(latest(directory / name), None) for name in LOGS}
    return {name: 1 if one is None else one["seq"] + 1 for name, one in newest.items()}


def _reached(cursor: tuple[Any, ...]) -> dict[str, int]:
    if len(cursor) != len(LOGS) or not all(type(one) is int and one >= 0 for one in cursor):
        raise InvalidValue("this cursor belongs to another list: use `next` of the page before")
    return dict(zip(LOGS, cursor, strict=True))


def _found(
    directory: File, asked: Asked, reached: Mapping[str, int], *, is_down: bool = False
) -> Iterator[tuple[str, Record]]:
    """Records behind what was reached, of both logs in order of time."""
    read = latest if is_down else records
    return heapq.merge(
        *(_of_log(name, read(directory / name, asked.wanted, reached[name])) for name in asked.logs),
        key=lambda one: one[1]["at"],
        reverse=is_down,
    )


def _of_log(name: str, found: Iterator[Record]) -> Iterator[tuple[str, Record]]:
    return ((name, content) for content in found)


def _directory(house: House) -> File:
    return house.broker.data.audit
