"""An HTTP server on loopback that answers as a test says, and remembers what it was asked."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One answer: `pause_s` passes before it, and between its `chunks`."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    chunks: int = 1


@dataclass
class Scripted:
    """`answer` makes an answer of a request's path and body."""

    url: str
    answer: Callable[[str, bytes], Answer]
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answers(self, answer: Answer) -> None:
        """Answers so from now on."""
        self.answer = lambda _path, _body: answer

    def says(self, body: bytes, **more: Any) -> None:
        """Answers with this body from now on."""
        self.answers(Answer(body, **more))


@contextmanager
def scripted(tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """One such server; it answers 404 at first."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            running.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            said = running.answer(self.path, body)
            try:
                time.sleep(said.pause_s)
                self.send_response(said.status)
                for key, value in said.headers.items():
                    self.send_header(key, value)
                self.end_headers()
                for _ in range(said.chunks):
                    self.wfile.write(said.body)
                    self.wfile.flush()
                    time.sleep(said.pause_s)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # pyrefly: ignore[missing-override-decorator]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    running = Scripted(f"{scheme}://127.0.0.1:{server.server_address[1]}", lambda _path, _body: Answer(status=404))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
