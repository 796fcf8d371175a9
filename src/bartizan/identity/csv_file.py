"""Identities from CSV and to it. An import is all or nothing, and says what is wrong with every line at once.

A file has a header. `name` is the only column that must be there; `attr.NAME` makes an attribute; lists are
separated by spaces; `credentials` holds the records of `records` as a JSON array.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TextIO

from bartizan.errors import InvalidValue
from bartizan.identity.records import credential_record, parse_credential, parse_hash, parse_time, time_text
from bartizan.identity.register import RESERVED, credential_id
from bartizan.model.credential import PasswordCredential
from bartizan.model.ids import (
    AttributeName,
    GroupName,
    IdentityName,
    RoleName,
    parse_attribute_value,
    parse_remark,
)
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.ports import Change, Create, IdentityStore, Replace, Told

PROBLEMS_MAX = 20
"""So many mistakes are told at once; the rest after these are corrected."""

CELL_CHARS_MAX = 131_072
ATTRIBUTE = "attr."
CHECKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and on which line of the file."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class ImportRefused(InvalidValue):
    """Nothing was imported. To do: correct these lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Line:
    """One identity as its line tells it: only what the file has columns for."""

    number: int
    name: IdentityName
    fields: Mapping[str, Any] = field(repr=False)
    attributes: Mapping[AttributeName, str]
    """Those that the file has columns for; an empty one is taken away."""
    password_hash: str | None = field(default=None, repr=False)

    def new(self, at: datetime) -> Identity:
        """As an identity that was not there."""
        return self.over(Identity(name=self.name, created_at=at), at)

    def over(self, before: Identity, at: datetime) -> Identity:
        """As what becomes of one that was; what the file has no column for stays."""
        held = {key: value for key, value in dict(before.attributes).items() if key not in self.attributes}
        held |= {key: value for key, value in self.attributes.items() if value}
        after = replace(before, **self.fields, attributes=tuple(sorted(held.items())))
        passwords = [item for item in after.credentials if isinstance(item, PasswordCredential)]
        if self.password_hash is None or [item.hash for item in passwords] == [self.password_hash]:
            return after
        others = tuple(item for item in after.credentials if not isinstance(item, PasswordCredential))
        password = PasswordCredential(id=credential_id(), hash=self.password_hash, created_at=at)
        return replace(after, credentials=(*others, password))


def read_lines(file: TextIO) -> list[Line]:
    """Every line; `ImportRefused` with up to 20 problems."""
    csv.field_size_limit(CELL_CHARS_MAX)
    rows = csv.reader(file, strict=True)
    lines: list[Line] = []
    problems: list[Problem] = []
    first_at: dict[str, int] = {}
    try:
        columns = _columns(next(rows, []))
        for number, cells in _numbered(rows):
            try:
                lines.append(_line(number, columns, cells))
            except InvalidValue as error:
                problems.append(Problem(number, str(error)))
            else:
                name = lines[-1].name
                if first_at.setdefault(name, number) != number:
                    problems.append(Problem(number, f"{name!r} stands on line {first_at[name]} already"))
            if len(problems) == PROBLEMS_MAX:
                break
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(Problem(rows.line_num, f"not CSV in UTF-8: {error}"))
    if problems:
        raise ImportRefused(problems)
    return lines


async def import_lines(
    store: IdentityStore,
    lines: Sequence[Line],
    *,
    at: datetime,
    update: bool = False,
    dry_run: bool = False,
    told: Told | None = None,
) -> tuple[int, int]:
    """Writes them in one transaction: how many were added, and how many changed. `ImportRefused` writes nothing."""
    groups = {group.name for group in await store.groups()}
    changes: list[Change] = []
    problems: list[Problem] = []
    for start in range(0, len(lines), CHECKED_AT_ONCE):
        part = lines[start : start + CHECKED_AT_ONCE]
        found = {identity.name: identity for identity in await store.get_many([line.name for line in part])}
        for line in part:
            before = found.get(line.name)
            if before is not None and not update:
                problems.append(Problem(line.number, f"an identity {line.name!r} exists already (--update changes it)"))
            missing = [group for group in line.fields.get("groups", ()) if group not in groups]
            problems += [Problem(line.number, f"there is no group {group!r}") for group in missing]
            if not problems:
                changes += _change(line, before, at)
        if len(problems) >= PROBLEMS_MAX:
            break
    if problems:
        raise ImportRefused(problems[:PROBLEMS_MAX])
    if changes and not dry_run:
        await store.commit(changes, told)
    added = sum(isinstance(change, Create) for change in changes)
    return added, len(changes) - added


class Writer:
    """Writes a file that `read_lines` reads; `secrets` with hashes and keys of the credentials."""

    def __init__(self, file: TextIO, attributes: Sequence[str], *, secrets: bool) -> None:
        self._columns = [*_TEXT, *(ATTRIBUTE + name for name in attributes), *(["credentials"] if secrets else [])]
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(self._columns)
        self.count = 0
        """Identities written."""

    def write(self, identity: Identity) -> None:
        """One line."""
        self._rows.writerow([_cell(identity, column) for column in self._columns])
        self.count += 1


def _numbered(rows: Any) -> Iterator[tuple[int, list[str]]]:  # noqa: ANN401  csv's reader has no name of its own
    """Rows with the line that each begins on: a quoted cell may hold line breaks."""
    begins = rows.line_num + 1
    for cells in rows:
        if any(cell.strip() for cell in cells):
            yield begins, cells
        begins = rows.line_num + 1


def _columns(header: Sequence[str]) -> list[str]:
    columns = [name.strip().removeprefix("\ufeff") for name in header]
    if "name" not in columns:
        raise ImportRefused([Problem(1, "the header has no column 'name'")])
    problems: list[Problem] = []
    for at, column in enumerate(columns):
        if column in columns[:at]:
            problems.append(Problem(1, f"column {column!r} stands twice in the header"))
        elif column.startswith(ATTRIBUTE):
            try:
                AttributeName.parse(column.removeprefix(ATTRIBUTE))
            except InvalidValue as error:
                problems.append(Problem(1, str(error)))
        elif column not in _PARSE and column not in {"name", "password_hash", "credentials"}:
            known = ", ".join(["name", *_PARSE, "attr.NAME", "password_hash", "credentials"])
            problems.append(Problem(1, f"unknown column {column!r}: there are {known}"))
    if problems:
        raise ImportRefused(problems[:PROBLEMS_MAX])
    return columns


def _line(number: int, columns: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) != len(columns):
        raise InvalidValue(f"{len(cells)} cells, but the header has {len(columns)} columns")
    row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    name = IdentityName.parse(row["name"])
    if name in RESERVED:
        raise InvalidValue(f"the name {name!r} is reserved")
    fields: dict[str, Any] = {}
    for column, parse in _PARSE.items():
        if column in row and (row[column] or column not in _KEPT_IF_EMPTY):
            fields[column] = parse(row[column])
    attributes = {
        AttributeName(column.removeprefix(ATTRIBUTE)): parse_attribute_value(row[column]) if row[column] else ""
        for column in columns
        if column.startswith(ATTRIBUTE)
    }
    # An empty cell takes nothing away: `[]` does.
    if row.get("credentials"):
        fields["credentials"] = _credentials(row["credentials"])
    password_hash = parse_hash(row["password_hash"]) if row.get("password_hash") else None
    return Line(number, name, fields, attributes, password_hash)


def _credentials(text: str) -> tuple[Any, ...]:
    try:
        records = json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"credentials is no JSON: {error}") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InvalidValue("credentials is a JSON array of objects")
    credentials = [parse_credential(record) for record in records]
    if len({credential.id for credential in credentials}) != len(credentials):
        raise InvalidValue("two credentials have the same id")
    return tuple(credentials)


def _change(line: Line, before: Identity | None, at: datetime) -> list[Change]:
    if before is None:
        return [Create(line.new(at))]
    after = line.over(before, at)
    return [] if after == before else [Replace(after)]


def _state(text: str) -> IdentityState:
    try:
        return IdentityState(text)
    except ValueError:
        raise InvalidValue(f"state {text!r}: one of {', '.join(IdentityState)}") from None


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


_PARSE: Mapping[str, Callable[[str], Any]] = {
    "state": _state,
    "roles": lambda text: tuple(dict.fromkeys(map(RoleName.parse, _words(text)))),
    "groups": lambda text: tuple(dict.fromkeys(map(GroupName.parse, _words(text)))),
    "owner": parse_remark,
    "note": parse_remark,
    "created_at": parse_time,
    "quarantined_until": lambda text: parse_time(text) if text else None,
    "quarantine_reason": parse_remark,
    "quarantine_ticket": parse_remark,
    "quarantined_by": parse_remark,
}
_KEPT_IF_EMPTY = frozenset({"state", "created_at"})
_TEXT = ("name", *_PARSE)


def _cell(identity: Identity, column: str) -> str:
    if column == "credentials":
        records = [credential_record(item, secrets=True) for item in identity.credentials]
        return json.dumps(records, separators=(",", ":")) if records else ""
    if column.startswith(ATTRIBUTE):
        return dict(identity.attributes).get(AttributeName(column.removeprefix(ATTRIBUTE)), "")
    value = getattr(identity, column)
    if isinstance(value, tuple):
        return " ".join(value)
    return time_text(value) or "" if isinstance(value, datetime) else str(value or "")
