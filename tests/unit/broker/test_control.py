"""Commands that clients publish are carried out one after the other, and answered to who asked."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bartizan.broker.control import REQUEST_BYTES_MAX, ControlDesk
from bartizan.broker.dynsec import DynamicSecurity
from bartizan.broker.log import Journal
from bartizan.broker.ports import ControlPort, ControlRequest
from bartizan.config.schema import LogSettings
from bartizan.model.actor import Actor, Way
from bartizan.policy.dynsec.commands import RESPONSE_TOPIC, TOPIC
from tests.unit.broker.test_dynsec import Room


class Lane(ControlPort):
    """Requests that wait, and replies that were sent."""

    def __init__(self) -> None:
        self.waiting: list[ControlRequest] = []
        self.taken: list[int] = []
        self.replies: list[tuple[str | None, str, Any]] = []
        self.replied = asyncio.Semaphore(0)

    def take_control(self, limit: int) -> Sequence[ControlRequest]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.taken.append(len(taken))
        return taken

    def reply(self, client: str | None, topic: str, payload: bytes) -> None:
        self.replies.append((client, topic, json.loads(payload)["responses"]))
        self.replied.release()

    def ask(self, *commands: dict[str, Any], client: str = "panel", tenant: str | None = None) -> None:
        payload = json.dumps({"commands": commands}).encode()
        self.waiting.append(ControlRequest(TOPIC, payload, "admin", client, tenant=tenant))


async def answered(
    lane: Lane, room: Room, count: int, *, strict: bool = True, service_of: Any = None, log: io.StringIO | None = None
) -> list[Actor]:
    """Lets a desk work until so many replies were sent; as whom it worked."""
    actors: list[Actor] = []

    def own(actor: Actor) -> DynamicSecurity:
        actors.append(actor)
        return room.service

    journal = Journal(log or io.StringIO(), LogSettings())
    desk = ControlDesk(lane, service_of or own, journal, strict=strict, anonymous=False)
    desk.start()
    desk.take()
    async with asyncio.timeout(20):
        for _ in range(count):
            await lane.replied.acquire()
    await desk.stop()
    journal.close()
    return actors


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_each_request_is_answered_of_the_state_before_and_to_who_asked(room: Room) -> None:
    lane = Lane()
    lane.ask({"command": "createClient", "username": "bob"})
    lane.ask({"command": "listClients"}, client="other")
    await answered(lane, room, 2)
    assert lane.replies == [
        ("panel", RESPONSE_TOPIC, [{"command": "createClient"}]),
        ("other", RESPONSE_TOPIC, [{"command": "listClients", "data": {"totalCount": 1, "clients": ["bob"]}}]),
    ]


async def test_where_it_is_compatible_everybody_who_is_subscribed_is_told(room: Room) -> None:
    lane = Lane()
    lane.ask({"command": "listRoles"})
    await answered(lane, room, 1, strict=False)
    assert lane.replies[0][0] is None


async def test_a_client_of_a_tenant_and_a_request_too_long_are_not_answered(room: Room) -> None:
    lane = Lane()
    lane.ask({"command": "createClient", "username": "bob"}, tenant="acme")
    lane.waiting.append(ControlRequest(TOPIC, b" " * (REQUEST_BYTES_MAX + 1), "admin", "panel"))
    lane.ask({"command": "listClients"})
    await answered(lane, room, 1)
    assert lane.replies[0][2][0]["data"]["clients"] == []


async def test_what_waits_stays_in_the_engine_until_its_turn_comes(room: Room) -> None:
    lane = Lane()
    for client in ("one", "two", "three"):
        lane.ask({"command": "listRoles"}, client=client)
    actors = await answered(lane, room, 3)
    assert max(lane.taken) == 1
    assert actors == [Actor(f"admin ({client})", way=Way.CLIENT) for client in ("one", "two", "three")]


async def test_a_request_that_fails_leaves_no_other_unanswered_and_tells_nothing_of_itself(room: Room) -> None:
    lane, log = Lane(), io.StringIO()
    lane.ask({"command": "createClient", "username": "bob", "password": "hush"}, client="first")
    lane.ask({"command": "listClients"}, client="second")
    services = iter([Failing(), room.service])

    def one_that_fails_first(actor: Actor) -> object:
        return next(services)

    await answered(lane, room, 1, service_of=one_that_fails_first, log=log)
    assert [client for client, _, _ in lane.replies] == ["second"]
    assert "a command of dynamic security: OSError" in log.getvalue()
    assert "hush" not in log.getvalue()


def test_a_request_shows_nothing_that_is_secret() -> None:
    request = ControlRequest(TOPIC, b"hush", "admin", "panel", correlation=b"hush")
    assert "hush" not in repr(request)


class Failing:
    """Commands on a disk that is gone."""

    async def answer(self, payload: bytes, asking: object) -> None:
        raise OSError("hush")
