"""An OpenID Provider that lies: real TLS, real HTTP, and any ID token that a test makes."""

import json
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

from tests.unit.authn.issuer import ec, jwks


@dataclass(frozen=True)
class Said:
    """An answer that is none of what a provider should give."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


ELSEWHERE = "/elsewhere"
"""Below it are the answers of an honest provider, for whoever lets itself be sent there."""


class Liar:
    """Publishes itself and its keys over TLS, and gives whatever ID token a test makes for whatever code it is shown."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self.ca_file, self.secret_file = directory / "ca.crt", directory / "secret"
        authority.cert_pem.write_to_path(self.ca_file)
        self.secret_file.touch(mode=0o600)
        self.secret_file.write_text("secret\n")
        self.key = ec()
        self.token = b""
        self.asked: list[str] = []
        self.instead: dict[str, Said | None] = {}
        """Of these paths, what is answered instead; None: nothing before the end."""
        self._is_over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.issuer = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def said(self, path: str) -> Said:
        self.asked.append(path)
        said = self.instead.get(path, Said(body=self.answer(path.removeprefix(ELSEWHERE))))
        if said is None:
            self._is_over.wait()
        return said or Said()

    def answer(self, path: str) -> bytes:
        if path == "/jwks":
            return jwks(self.key)
        if path == "/token":
            return json.dumps({"id_token": self.token.decode()}).encode()
        places = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        urls = {name: self.issuer + place for name, place in places.items()}
        return json.dumps({"issuer": self.issuer} | urls).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        said = self.said

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                answer = said(self.path)
                with suppress(OSError):
                    self.send_response(answer.status)
                    for name, value in ({"content-length": str(len(answer.body))} | answer.headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer.body)

            def do_POST(self) -> None:
                self.do_GET()

            # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        return Handler
