"""Traces and looks at what is there: on record from the start to the end, however they end."""

import asyncio
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.search import records
from bartizan.audit.trail import Trail
from bartizan.broker.inspecting import Inspecting
from bartizan.broker.ports import InspectPort, TracePort
from bartizan.broker.tracing import TRACE_S_MAX, Tracing, Wanted
from bartizan.config.audit import AuditSettings
from bartizan.errors import ChangeRefused, EngineUnavailable, InvalidValue, NotFound
from bartizan.model.actor import Actor
from bartizan.store.observations import ObservationStore
from tests.unit.store.test_observations import row, shard, use

ALICE = Actor("alice", why="INC-4711")


class Tracer(TracePort):
    """Packets as a test gives them."""

    def __init__(self, *packets: bytes, refuses: bool = False) -> None:
        self.packets = list(packets)
        self.refuses = refuses
        self.asked: list[tuple[str, float, bool, str | None]] = []
        self.ended: list[int] = []

    def trace(self, client_id: str, *, for_s: float, payloads: bool, tenant: str | None = None) -> int:
        self.asked.append((client_id, for_s, payloads, tenant))
        if self.refuses:
            raise ChangeRefused("as many traces are under way as may be")
        return 7

    def take_trace(self, number: int, limit: int, *, octets: bool) -> bytes | None:
        return None if number in self.ended else self.packets.pop(0) if self.packets else b""

    def end_trace(self, number: int) -> bool:
        self.ended.append(number)
        return True


def trail_in(directory: Path) -> Trail:
    return Trail.of(directory, AuditSettings(), Actor("broker"))


def recorded(directory: Path) -> list[tuple[str, str, str, str]]:
    return [
        (each["kind"], each["who"], each.get("outcome") or each["target"], each.get("why") or "")
        for each in records(directory / "changes")
        if each["kind"] != "checkpoint"
    ]


async def goes_on() -> bool:
    return True


async def test_a_trace_is_on_record_before_its_first_packet_and_at_its_end(tmp_path):
    engine = Tracer(b'{"type":"PINGREQ"}\n{"type":"PINGRESP"}\n')
    tracing = Tracing(engine, trail_in(tmp_path))
    trace = await tracing.begin(Wanted("press-01", 0.3, "acme", payloads=True), ALICE)
    assert recorded(tmp_path) == [("change", "alice", "client/press-01", "INC-4711")]
    lines = [json.loads(line) async for part in trace.lines(goes_on) for line in part.splitlines() if line]
    assert (lines[0]["trace"], lines[0]["client_id"], lines[0]["payloads"]) == (7, "press-01", True)
    assert lines[1:] == [{"type": "PINGREQ"}, {"type": "PINGRESP"}, {"ended": "time"}]
    trace.end()
    trace.end()
    await tracing.aclose()
    assert (engine.asked, engine.ended) == ([("press-01", 0.3, True, "acme")], [7])
    assert recorded(tmp_path)[1:] == [("outcome", "alice", "done", "2 lines")]


async def test_a_reader_that_goes_away_ends_its_trace_on_record_too(tmp_path):
    engine = Tracer()
    tracing = Tracing(engine, trail_in(tmp_path))
    trace = await tracing.begin(Wanted("press-01", 60.0), ALICE)

    async def read() -> None:
        try:
            async for _ in trace.lines(goes_on):
                pass
        finally:
            trace.end()

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await tracing.aclose()
    assert engine.ended == [7]
    assert [kind for kind, *_ in recorded(tmp_path)] == ["change", "outcome"]


async def test_a_trace_ends_where_its_reader_may_read_no_more_or_the_engine_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("bartizan.broker.tracing.ALIVE_INTERVAL_S", 0.0)
    engine = Tracer(b'{"type":"PINGREQ"}\n' * 3)

    async def no_more() -> bool:
        return False

    tracing = Tracing(engine, trail_in(tmp_path))
    trace = await tracing.begin(Wanted("press-01", 60.0), ALICE)
    told = [part async for part in trace.lines(no_more)]
    assert json.loads(told[-1]) == {"ended": "stopped"}
    trace.end()
    await tracing.aclose()
    assert json.loads([part async for part in trace.lines(goes_on)][-1]) == {"ended": "stopped"}


async def test_a_trace_that_cannot_begin_is_on_record_as_failed(tmp_path):
    tracing = Tracing(Tracer(refuses=True), trail_in(tmp_path))
    with pytest.raises(ChangeRefused):
        await tracing.begin(Wanted("press-01", 60.0), ALICE)
    assert [outcome for _, _, outcome, _ in recorded(tmp_path)] == ["client/press-01", "failed"]


@pytest.mark.parametrize(("client_id", "for_s"), [("", 1.0), ("a", 0.0), ("a", TRACE_S_MAX + 1), ("a", float("nan"))])
def test_a_trace_is_of_one_client_and_short(client_id, for_s):
    with pytest.raises(InvalidValue):
        Wanted(client_id, for_s)


class Inspected(InspectPort):
    """What a test says is there."""

    def __init__(self, pages: int = 2, fails_at: int = 99) -> None:
        self.pages = pages
        self.fails_at = fails_at
        self.looks = 0

    def session(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        return {"client_id": client_id, "identity": "press-09"} if client_id == "press-09-a" else None

    def retained(self, filter_: str, after: str | None, limit: int, *, whole: bool) -> Mapping[str, Any]:
        if filter_ == "a/#/b":
            raise InvalidValue("no filter")
        return {"messages": [], "next": None}

    def clear_retained(self, filter_: str, after: str | None, limit: int) -> Mapping[str, Any]:
        at = int(after or 0)
        if at == self.fails_at:
            raise EngineUnavailable("a shard did not answer in time")
        return {"count": 10, "next": None if at + 1 == self.pages else str(at + 1)}

    def topics(self, prefix: str, depth: int, *, traffic: bool = False) -> Mapping[str, Any]:
        self.looks += traffic
        branch = {"retained": 1, "retained_bytes": 4, "subscriptions": 2, "messages": 100 * self.looks, "bytes": 0}
        return {"topics": {"plant/a": branch}, "left_out": dict.fromkeys(branch, 0)}

    def subscriptions(self, sought: Mapping[str, str], after: tuple[int, int] | None, limit: int) -> Mapping[str, Any]:
        following = {None: (0, 1), (0, 1): (1, 0), (1, 0): None}
        return {"subscriptions": [{"behind": after}], "next": following[after]}


def inspecting(directory: Path, engine: Inspected) -> Inspecting:
    return Inspecting(engine, directory / "observations.sqlite", trail_in(directory))


async def test_removing_goes_over_all_pages_and_its_number_is_on_record(tmp_path):
    assert await inspecting(tmp_path, Inspected(3)).clear_retained("a/#", ALICE) == 30
    begun, ended = recorded(tmp_path)
    assert begun == ("change", "alice", "topic/a/#", "INC-4711")
    assert ended[2:] == ("done", "30 messages removed")


async def test_what_was_removed_before_it_failed_is_on_record(tmp_path):
    with pytest.raises(EngineUnavailable):
        await inspecting(tmp_path, Inspected(3, fails_at=2)).clear_retained("a/#", ALICE)
    assert recorded(tmp_path)[1][2:] == ("failed", "20 messages removed, then: a shard did not answer in time")


async def test_what_is_no_filter_changes_nothing(tmp_path):
    with pytest.raises(InvalidValue):
        await inspecting(tmp_path, Inspected()).clear_retained("a/#/b", ALICE)
    assert recorded(tmp_path) == []


async def test_a_session_comes_with_the_last_denials_of_its_own_client(tmp_path):
    store = ObservationStore(tmp_path / "observations.sqlite")
    denied = [row(f"t/{which}", identity="press-09", client_id=f"press-09-{which}") for which in "ab"]
    store.write([shard(denials=denied)], date(2026, 11, 22))
    found = await inspecting(tmp_path, Inspected()).session("press-09-a", None)
    assert [one["topic"] for one in found["denials"]] == ["t/a"]
    with pytest.raises(NotFound):
        await inspecting(tmp_path, Inspected()).session("press-09-x", None)


async def test_topics_that_were_used_are_in_the_tree(tmp_path):
    store = ObservationStore(tmp_path / "observations.sqlite")
    uses = [use("r", topic, str(at)) for at, topic in enumerate(("plant/a/x", "plant/a/y", "plant/b", "plants"))]
    store.write([shard(uses=uses)], date(2026, 11, 22))
    tree = await inspecting(tmp_path, Inspected()).topics("plant", 1)
    assert {name: (what["retained"], what["used"]) for name, what in tree["topics"].items()} == {
        "plant/a": (1, 2),
        "plant/b": (0, 1),
    }
    with pytest.raises(InvalidValue):
        await inspecting(tmp_path, Inspected()).topics("", 0)


async def test_what_topics_carry_is_told_a_second_and_only_where_it_is_asked_for(tmp_path):
    looked = inspecting(tmp_path, Inspected())
    plain = await looked.topics("", 1)
    assert "messages_per_s" not in plain["topics"]["plant/a"]
    tree = await looked.topics("", 1, over_s=0.01)
    # 100 more between two looks, however long the second one took to come.
    assert 0 < tree["topics"]["plant/a"]["messages_per_s"] <= 10_000
    assert tree["topics"]["plant/a"]["bytes_per_s"] == tree["left_out"]["messages_per_s"] == 0
    with pytest.raises(InvalidValue):
        await looked.topics("", 1, over_s=61)


async def test_subscriptions_are_gathered_over_all_pages(tmp_path):
    found = await inspecting(tmp_path, Inspected()).subscriptions({})
    assert [one["behind"] for one in found] == [None, (0, 1), (1, 0)]


async def test_more_subscriptions_than_are_gathered_are_an_error_and_no_part_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("bartizan.broker.inspecting.SUBSCRIPTIONS_MAX", 2)
    with pytest.raises(InvalidValue, match="more than 2"):
        await inspecting(tmp_path, Inspected()).subscriptions({})
