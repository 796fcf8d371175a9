"""Asks the broker that runs on a data directory, by its control socket."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2

from bartizan.api.socket import FILE, reachable
from bartizan.broker.change import Running
from bartizan.broker.lock import DirectoryLock
from bartizan.broker.place import Place
from bartizan.cli.person import operator
from bartizan.errors import ChangeRefused, ConfigurationError, EngineUnavailable, InvalidValue
from bartizan.model.actor import ACTOR_HEADER

TIMEOUT_S = 10.0
RELOAD_TIMEOUT_S = 120.0
"""A policy of ten thousand roles, and a hundred thousand Sessions to decide anew, take their time."""


@contextmanager
def asking(root: Path) -> Iterator[httpx2.Client]:
    """A client of the broker; `EngineUnavailable` if none answers."""
    with (
        reachable(root) as path,
        httpx2.Client(
            transport=httpx2.HTTPTransport(uds=path),
            base_url="http://control",
            timeout=TIMEOUT_S,
            headers={ACTOR_HEADER: operator().encode("ascii", "backslashreplace").decode()},
        ) as client,
    ):
        try:
            yield client
        except httpx2.TransportError as error:
            raise EngineUnavailable(
                f"no broker answers at {root / FILE} ({error}): start it with `bartizan up --data {root}`"
            ) from None


def told_to(root: Path, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Has the broker do something; `InvalidValue` with its words where it refuses."""
    with asking(root) as broker:
        return answered(broker.post(path, json=body) if body is not None else broker.post(path))


def asked_of(root: Path, path: str) -> Any:  # noqa: ANN401  what JSON holds
    """What the broker tells; `InvalidValue` with its words where it refuses."""
    with asking(root) as broker:
        return answered(broker.get(path))


def answered(answer: httpx2.Response) -> Any:  # noqa: ANN401  what JSON holds
    """What an answer says; raises where it is a refusal."""
    if answer.is_error:
        raise refusal(answer)
    return answer.json()


def refusal(answer: httpx2.Response) -> InvalidValue:
    """A refusal, in the broker's words; one of another version may not know what it is asked for, and has others."""
    try:
        return InvalidValue(str(answer.json()["error"]))
    except (ValueError, KeyError, TypeError):
        return InvalidValue(f"the broker refused it ({answer.status_code})")


def listens(root: Path) -> bool:
    """Whether a broker answers at the control socket of this data directory."""
    with reachable(root) as path, socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


class RunningBroker(Running):
    """The broker that runs on a data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def on(cls, root: Path) -> Self | None:
        """The broker of this data directory; None if none runs; `EngineUnavailable` if one does not answer."""
        if listens(root):
            return cls(root)
        with suppress(ConfigurationError), DirectoryLock(root):
            return None
        raise EngineUnavailable(f"a broker runs on {root} and does not answer at {FILE}")

    def status(self) -> Mapping[str, Any]:
        """What `GET /v1/status` tells."""
        with asking(self._root) as client:
            return client.get("/v1/status").raise_for_status().json()

    def digest(self) -> str:
        """See `Running`."""
        return self.status()["policy"]["digest"]

    def place(self) -> Place:
        """Where it will read its policy at the next reload."""
        return Place(tuple(Path(name) for name in self.status()["policy"]["files"]))

    def reload(self) -> Mapping[str, Any]:
        """See `Running`."""
        try:
            with asking(self._root) as client:
                return client.post("/v1/reload", timeout=RELOAD_TIMEOUT_S).json()
        except (EngineUnavailable, ValueError) as error:
            raise ChangeRefused(f"the broker did not answer whether it reloaded: {error}") from None
