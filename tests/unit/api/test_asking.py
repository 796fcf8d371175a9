"""Who asks at the control socket: as the system says, and of root as it says, marked."""

import io
import os
import pwd

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bartizan.api.asking import OwnersOnly, actor_of
from bartizan.api.refusals import Refusals
from bartizan.broker.log import Journal
from bartizan.config.schema import LogSettings
from bartizan.model.actor import ACTOR_HEADER, Actor, Way

OWN = os.geteuid()
NOBODY = 65_534


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def asking(uid: int, told: str = "") -> Scope:
    headers = [(ACTOR_HEADER.encode(), told.encode())] if told else []
    return {"type": "http", "method": "POST", "path": "/v1/reload", "headers": headers, "client": (f"uid:{uid}", 4711)}


def actor(uid: int, told: str = "") -> Actor:
    return actor_of(Request(asking(uid, told)))


def test_roots_word_for_whom_it_asks_is_marked_so_that_it_is_no_operators_name():
    assert actor(0, "alice (sudo)") == actor(0, "alice") == Actor("alice (sudo)", way=Way.SOCKET, uid=0)
    assert actor(0) == actor(0, pwd.getpwuid(0).pw_name) == Actor(pwd.getpwuid(0).pw_name, way=Way.SOCKET, uid=0)


def test_of_nobody_else_a_word_is_taken():
    assert actor(NOBODY, "alice") == Actor(pwd.getpwuid(NOBODY).pw_name, way=Way.SOCKET, uid=NOBODY)
    assert actor(4_000_000_000, "alice").name == "uid:4000000000"
    assert actor_of(Request({**asking(0), "client": None})).name == "unknown"


@pytest.mark.anyio
@pytest.mark.parametrize(("uid", "status"), [(0, 200), (OWN, 200), (NOBODY, 403)])
async def test_only_root_and_the_owner_are_answered_whatever_the_mode_of_the_file(uid, status):
    assert await answered(asking(uid)) == status


@pytest.mark.anyio
async def test_who_opened_it_has_to_be_known():
    assert await answered({**asking(0), "client": None}) == 403
    assert await answered({**asking(0), "client": ("127.0.0.1", 1)}) == 403


async def answered(scope: Scope) -> int:
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("done")(scope, receive, send)

    async def send(message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    log = io.StringIO()
    journal = Journal(log, LogSettings(format="json"))
    await OwnersOnly(app, Refusals(journal))(scope, receive, send)
    journal.close()
    assert ("operator_denied" in log.getvalue()) is (sent[0] == 403), "who is refused is told"
    return sent[0]
