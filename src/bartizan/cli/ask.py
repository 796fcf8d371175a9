"""Asks the API of a broker: of this data directory, at its control socket, without a login; or of one elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bartizan.cli.control import asking
from bartizan.cli.opening import existing
from bartizan.cli.remote import TIMEOUT_S, Login, Remote, remote

BASE_URL = "http://control/api/v1"


@contextmanager
def api_of(data: Path, server: str | None) -> Iterator[Remote]:
    """The API of a server at which somebody has logged in; without one, that of the broker that runs on `data`."""
    if server is not None:
        with remote(server) as there:
            yield there
        return
    root = existing(Path.cwd() / data).root
    with asking(root) as client:
        client.base_url, client.timeout = BASE_URL, TIMEOUT_S
        yield Remote(Login(f"the broker of {data}", "", ""), client)
