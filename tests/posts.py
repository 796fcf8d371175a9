"""A service of HTTP that keeps what is posted to it, and says what it is told to say."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Posts:
    """What was posted there."""

    url: str
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers, by names in small letters, and the body."""
    status: int = 200
    """What it answers from now on. Only what is answered by 200 is kept."""
    refused: int = 0


@contextmanager
def taking_posts(path: str, port: int = 0, posts: Posts | None = None) -> Iterator[Posts]:
    """Such a service on loopback. `port` and `posts` are those of one that comes back."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if found.status == 200:
                found.posted.append(({key.lower(): value for key, value in self.headers.items()}, body))
            else:
                found.refused += 1
            self.send_response(found.status)
            self.send_header("content-length", "0")
            self.end_headers()

        # pyrefly: ignore[missing-override-decorator]
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class has it
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = posts or Posts(f"http://127.0.0.1:{server.server_address[1]}{path}")
        yield found
        server.shutdown()
