"""Pages: every item once, in order, whatever comes and goes between two of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from bartizan.api.paging import CURSOR_CHARS_MAX, Part, cursor_of, page_of, place_of
from bartizan.store.ports import Order

ROWS = st.lists(
    st.fixed_dictionaries({"name": st.text("abc", min_size=1, max_size=4), "size": st.integers(0, 3)}),
    unique_by=lambda row: row["name"],
    max_size=20,
)


def walk(rows: Sequence[dict[str, object]], sort: str, limit: int) -> list[object]:
    found: list[object] = []
    after = ""
    while after is not None:
        page = page_of(rows, Part(after, limit), "name", sort)
        assert len(page["items"]) <= limit
        found += [row["name"] for row in page["items"]]
        after = page["next"]
    return found


@given(ROWS, st.sampled_from(["name", "-name", "size", "-size"]), st.integers(1, 5))
def test_all_pages_together_are_the_list_in_order(rows, sort, limit):
    key = sort.removeprefix("-")
    expected = sorted(rows, key=lambda row: (row[key], row["name"]), reverse=sort.startswith("-"))
    assert walk(rows, sort, limit) == [row["name"] for row in expected]


def test_what_was_removed_meanwhile_takes_nothing_else_with_it():
    rows = [{"name": name} for name in "abcdef"]
    first = page_of(rows, Part("", 3), "name", "name")
    left = [row for row in rows if row["name"] not in "bc"]
    assert [row["name"] for row in page_of(left, Part(first["next"], 3), "name", "name")["items"]] == ["d", "e", "f"]


def test_rows_of_one_name_are_told_apart_by_another_field():
    rows = [{"client_id": "press", "tenant": tenant, "queued": 0} for tenant in ("b", None, "a")]
    for sort in ("client_id", "-queued"):
        found, after = [], ""
        while after is not None:
            page = page_of(rows, Part(after, 1), "client_id", sort, "tenant")
            found += [row["tenant"] for row in page["items"]]
            after = page["next"]
        assert sorted(found, key=str) == [None, "a", "b"]


def test_a_name_as_long_as_clients_may_choose_one_ends_no_list():
    rows = [{"name": letter * 341} for letter in "\u4e00\u4e8c\u4e09"]
    page = page_of(rows, Part("", 1), "name", "name")
    assert len(page["next"]) < CURSOR_CHARS_MAX
    assert page_of(rows, Part(page["next"], 5), "name", "name")["items"] == rows[2:] + rows[1:2]


@pytest.mark.parametrize("cursor", ["x", "e30=", "bnVsbA==", "W1tdXQ==", "\x00", cursor_of(1, 2), cursor_of("a")[:-3]])
def test_a_cursor_that_is_none_is_told(cursor):
    rows = [{"name": "a"}, {"name": "b"}]
    with pytest.raises(HTTPException) as told:
        page_of(rows, Part(cursor, 1), "name", "name")
    assert told.value.status_code == 422


@pytest.mark.parametrize(
    ("order", "place"), [(Order.NAME, ["a", "b"]), (Order.NAME_DOWN, [1]), (Order.CREATED_AT, ["a"]), (Order.NAME, [])]
)
def test_a_place_in_another_list_is_refused(order, place):
    with pytest.raises(HTTPException) as refused:
        place_of(Part(cursor_of(*place), 5), order)
    assert refused.value.status_code == 422
    assert place_of(Part("", 5), order) is None
    assert place_of(Part(cursor_of("2026-01-01", "a"), 5), Order.CREATED_AT_DOWN) == ("2026-01-01", "a")
