"""`bartizan logout`: it says so only where the login is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from bartizan.cli import login
from bartizan.cli.app import run
from bartizan.cli.remote import Login, keep, logins

SERVER = "https://mqtt.example.com:8444"


def problem(status: int, kind: str) -> httpx2.Response:
    told = {"type": f"urn:bartizan:problem:{kind}", "title": "No", "status": status}
    return httpx2.Response(status, json=told)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (httpx2.Response(204), 0, f"logged out at {SERVER}\n"),
        (problem(401, "login-needed"), 0, f"logged out at {SERVER}\n"),
        (problem(503, "store-unavailable"), 1, ""),
        (problem(429, "too-many-requests"), 1, ""),
    ],
)
def test_a_login_that_did_not_end_is_not_said_to_be_over(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: httpx2.Response,
    code: int,
    says: str,
) -> None:
    @contextmanager
    def answering(_login: Login) -> Iterator[httpx2.Client]:
        with httpx2.Client(base_url=SERVER, transport=httpx2.MockTransport(lambda _request: answer)) as client:
            yield client

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(login, "client_of", answering)
    keep({SERVER: Login(SERVER, "alice", "bzs_x")})
    assert run(["logout", SERVER]) == code
    told = capsys.readouterr()
    assert told.out == says
    assert ("there it ends by itself" in told.err) is (code == 1)
    assert logins() == {}
