"""Lists by pages: a cursor says behind which item the next one begins, whatever was added or removed meanwhile."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bartizan.store.ports import Order, Place

LIMIT_MAX: Final = 1_000
CURSOR_CHARS_MAX: Final = 16_384
"""A name that a client chose, and a topic, have room in one: nobody ends a list before its end by a long one."""
LOOKED_AT_MAX: Final = 20_000
"""Identities that one page looks at, where few of them may fit; the next page goes on behind them."""

ByIdentity = Literal["identity", "-identity"]
ORDERS: Final[Mapping[ByIdentity, Order]] = {"identity": Order.NAME, "-identity": Order.NAME_DOWN}
"""How lists of what identities have are sorted."""

T = TypeVar("T")
Row = Mapping[str, Any]


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = Field(description="The cursor of the page behind this one, for `after`; null at the end.")


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is asked for."""

    after: str
    limit: int

    def cursor(self) -> tuple[Any, ...] | None:
        """What a cursor stands for; None for the beginning; 422 if it is none of ours."""
        if not self.after:
            return None
        try:
            told = json.loads(base64.urlsafe_b64decode(self.after.encode()))
        except (ValueError, binascii.Error, RecursionError):
            told = None
        if not isinstance(told, list) or not all(isinstance(one, str | int | float) for one in told):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "this cursor is none: use `next` of the page before")
        return tuple(told)


def _part(
    after: Annotated[str, Query(max_length=CURSOR_CHARS_MAX, description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items of a page.")] = 100,
) -> Part:
    return Part(after, limit)


Parted = Annotated[Part, Depends(_part)]
Match = Annotated[
    str, Query(max_length=256, description="A pattern of names; `*` and `?` stand for any characters. Default: all.")
]


def matching(rows: Iterable[Row], name: str, pattern: str) -> list[Row]:
    """Those in which this field fits a pattern of names."""
    return [row for row in rows if fnmatchcase(str(row[name]), pattern)]


def cursor_of(*values: str | float) -> str:
    """A cursor for what these say."""
    return base64.urlsafe_b64encode(json.dumps(values, ensure_ascii=False).encode()).decode()


def place_of(part: Part, order: Order) -> Place | None:
    """The place behind which a page of identities begins; None for the beginning; 422 for the cursor of another list."""
    cursor = part.cursor()
    if cursor is None:
        return None
    place = tuple(str(each) for each in cursor)
    if place != cursor or len(place) != (1 if order.is_by_name else 2):
        raise _other_list()
    return place


def next_behind(place: Place | None) -> str | None:
    """The cursor of the page behind a place; None where there is no more."""
    return None if place is None else cursor_of(*place)


def page_of(rows: Sequence[Row], part: Part, name: str, sort: str, *also: str) -> dict[str, Any]:
    """The part of these rows, in order of field `sort`, backwards with `-` before it; `name`, with `also`, tells rows apart."""
    field, down = sort.removeprefix("-"), sort.startswith("-")

    def place(row: Row) -> tuple[Any, ...]:
        value = row.get(field)
        first = value if isinstance(value, str | int | float) else str(value or "")
        return (first, *("" if row[one] is None else str(row[one]) for one in (name, *also)))

    ordered = sorted(rows, key=place, reverse=down)
    cursor = part.cursor()
    if cursor is not None:
        ordered = _behind(ordered, cursor, place, down=down)
    page = ordered[: part.limit]
    more = len(ordered) > len(page)
    return {"items": page, "next": cursor_of(*place(page[-1])) if more and page else None}


def _behind(
    ordered: Sequence[Row], cursor: tuple[Any, ...], place: Callable[[Row], tuple[Any, ...]], *, down: bool
) -> list[Row]:
    try:
        return [row for row in ordered if (place(row) < cursor if down else place(row) > cursor)]
    except TypeError:
        raise _other_list() from None


def _other_list() -> HTTPException:
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "this cursor belongs to another list or order")
