"""Refused requests are told: some one by one, the rest by a number, and strangers hide nothing of an operator."""

import io
import json
from typing import Any

import pytest

from bartizan.api.refusals import REQUEST_CHARS_MAX, TOLD_MAX, Refusals
from bartizan.broker.log import Journal
from bartizan.config.schema import LogSettings
from bartizan.model.actor import Actor, Way

STRANGER = Actor("", "192.0.2.9", Way.TOKEN)
ALICE = Actor("alice", "192.0.2.1", Way.SESSION)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def told(journal: Journal, log: io.StringIO) -> list[dict[str, Any]]:
    journal.close()
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.anyio
async def test_a_flood_of_strangers_is_told_by_its_number_and_an_operator_beside_it():
    log, clock = io.StringIO(), Clock()
    journal = Journal(log, LogSettings(format="json"))
    refusals = Refusals(journal, clock)
    for number in range(500):
        refusals.tell(STRANGER, f"GET /api/v1/{number}", 401, "log in")
    refusals.tell(ALICE, "DELETE /api/v1/identities/press-01", 403, "your roles do not permit this")
    refusals.tell_rest()
    clock.at = 1.0
    refusals.tell(STRANGER, "GET /" + "x" * 10_000, 401, "log in")
    refusals.tell_rest()
    events = told(journal, log)
    assert [each["event"] for each in events] == ["operator_denied"] * (TOLD_MAX + 1) + ["repeated", "operator_denied"]
    assert all(each["level"] == "warning" for each in events)
    *_, alice, rest, last = events
    assert (alice["operator"], alice["address"], alice["outcome"]) == ("alice", "192.0.2.1", "403")
    assert (rest["kind"], rest["count"]) == ("operator_denied", 500 - TOLD_MAX)
    assert len(last["request"]) == REQUEST_CHARS_MAX
