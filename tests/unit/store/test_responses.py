"""Responses on record: each has a number, what waits is settled once."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.errors import NotFound
from bartizan.model.finding import About
from bartizan.model.response import Outcome, Response
from bartizan.store import responses
from bartizan.store.responses import ResponseStore

AT = datetime(2026, 11, 16, 12, tzinfo=UTC)
WAITING = Response(0, 7, "cut", "disconnect", About.IDENTITY, "press-01", Outcome.WAITING, "", AT)


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    return ResponseStore(tmp_path / "findings.sqlite")


def test_what_is_kept_has_a_number(store: ResponseStore) -> None:
    assert store.responses() == []
    assert store.put(WAITING) == replace(WAITING, number=1)
    done = store.put(replace(WAITING, outcome=Outcome.DONE))
    assert store.responses([Outcome.DONE]) == [done]
    assert [each.number for each in store.responses()] == [1, 2]


def test_what_waits_is_settled_once(store: ResponseStore) -> None:
    with pytest.raises(NotFound, match="waits"):
        store.waiting(1)
    put = store.put(WAITING)
    assert store.waiting(1) == put
    settled = store.settle(1, Outcome.DONE, "", "ann")
    assert (settled.outcome, settled.by) == (Outcome.DONE, "ann")
    with pytest.raises(NotFound, match="waits"):
        store.settle(1, Outcome.DISMISSED, "", "bob")
    with pytest.raises(NotFound, match="waits"):
        store.waiting(1)
    store.tell(1, Outcome.FAILED, "the engine is gone")
    assert [(each.outcome, each.text, each.by) for each in store.responses()] == [
        (Outcome.FAILED, "the engine is gone", "ann")
    ]


def test_the_oldest_give_way(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "RESPONSES_MAX", 5)
    for _ in range(8):
        store.put(WAITING)
    assert [each.number for each in store.responses()] == [4, 5, 6, 7, 8]
