"""A login by browser: the broker has an OpenID Provider prove the person, and its answer comes to a port of ours.

The port is on loopback (RFC 8252), open until the answer is there. What comes to it is a code that is worth nothing
without the secret that was made here and never left (RFC 7636): another program, or another user of this machine, that
sees it gets no login by it.
"""

import base64
import hashlib
import hmac
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from bartizan.cli.remote import Login, RefusedThere, client_of, logged_in
from bartizan.errors import EngineUnavailable

WITHIN_S: Final = 300.0
REQUEST_WITHIN_S: Final = 10.0

REFUSED: Final = {
    "login-refused": "the login was refused: the log of the broker says why",
    "too-soon": "wait before the next try",
    "provider-unavailable": "the OpenID Provider does not answer the broker: its log says why",
}

_PAGE: Final = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>Bartizan</title>'
    b"<p>You may close this window: the terminal says how it went.</p></html>\n"
)


def log_in_by_browser(login: Login, *, opens: bool) -> tuple[Login, dict[str, Any]]:
    """The login with its token, and what it may do. `opens`: a browser here; else its address is shown alone."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Waiting(state) as waiting:
        words = {"port": waiting.port, "challenge": challenge, "state": state, "fresh": "true"}
        place = f"{login.server}/api/v1/session/oidc?{urlencode(words)}"
        print(f"log in by browser, on this machine:\n\n    {place}\n", file=sys.stderr, flush=True)
        if opens:
            import webbrowser  # noqa: PLC0415  for this alone

            webbrowser.open(place)
        code = waiting.code(WITHIN_S)
    with client_of(replace(login, token="")) as client:
        me = logged_in(client.post("/session/oidc/token", json={"code": code, "verifier": verifier}), login)
    return replace(login, operator=me["actor"], token=me.pop("token")), me


class _Waiting(TCPServer):
    """A port on loopback, for one answer."""

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _handler(self._take))
        self._state = state
        self._answer: dict[str, str] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def code(self, within_s: float) -> str:
        """The code that the browser brings; `RefusedThere` if it brings none."""
        until = monotonic() + within_s
        while self._answer is None:
            self.timeout = until - monotonic()
            if self.timeout <= 0:
                raise EngineUnavailable("no browser came back within five minutes")
            self.handle_request()
        error = self._answer.get("error")
        if error is not None or "code" not in self._answer:
            raise RefusedThere(REFUSED.get(error or "", "the login did not come about"))
        return self._answer["code"]

    def _take(self, path: str) -> bool:
        """Whether it is the answer to the question that was asked; whatever else comes is nobody's."""
        said = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if not hmac.compare_digest(said.get("state", "").encode(), self._state.encode()):
            return False
        self._answer = said
        return True


def _handler(take: Callable[[str], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_WITHIN_S

        def do_GET(self) -> None:
            if not take(self.path):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(_PAGE)))
            self.send_header("content-security-policy", "default-src 'none'")
            self.end_headers()
            self.wfile.write(_PAGE)

        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the address of the request has the code."""

    return Handler
