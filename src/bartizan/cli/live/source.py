"""Asks a broker by its API, at the control socket or elsewhere: what is so now; and has it act.

Every look, and every act, opens the way anew: a broker that is restarted is there again at the next look.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bartizan.cli.ask import api_of
from bartizan.cli.control import listens
from bartizan.cli.live.look import Look, Row, key_of
from bartizan.cli.opening import existing
from bartizan.cli.paths import path_of
from bartizan.cli.remote import RefusedThere, Remote, remote
from bartizan.errors import EngineUnavailable

CLIENTS_MAX: Final = 1_000
"""Clients that are looked at: those that sent the most since they connected. Others are found by their name."""

DENIALS_MAX: Final = 200
FINDINGS_MAX: Final = 200
WAITING_MAX: Final = 200

Open = Callable[[], AbstractContextManager[Remote]]


def here(data: Path) -> "Source":
    """The broker of this data directory."""
    root = existing(Path.cwd() / data).root

    @contextmanager
    def opened() -> Iterator[Remote]:
        if not listens(root):
            raise EngineUnavailable(f"no broker answers on {root}: start it with `bartizan up --data {root}`")
        with api_of(data, None) as broker:
            yield broker

    return Source(opened)


def there(server: str) -> "Source":
    """A broker elsewhere, at which somebody has logged in."""
    return Source(lambda: remote(server, asks=False))


class Source:
    """One broker. Each call may be made in a thread of its own."""

    def __init__(self, opened: Open) -> None:
        self._open = opened

    def look(self, match: str = "") -> Look:
        """What is so now. Clients whose Client Identifier has `match` in it are there, however quiet they are."""
        missing: dict[str, str] = {}
        with self._open() as broker:

            def told(what: str, ask: Callable[[], Any], otherwise: Any) -> Any:  # noqa: ANN401  what JSON holds
                try:
                    return ask()
                except RefusedThere as error:
                    # An operator of one tenant is told of its clients, and of nothing that is everybody's.
                    missing[what] = str(error)
                    return otherwise

            def listed(what: str, most: int, **params: object) -> list[Row]:
                return told(what, lambda: broker.get(f"/{what}", limit=most, **params)["items"], [])

            status = told("status", lambda: broker.get("/status"), {})
            metrics = told("metrics", lambda: numbers_of(broker.text("/metrics")), {})
            clients, has_more = _clients(broker, match)
            return Look(
                at=datetime.now(UTC),
                clock_s=time.monotonic(),
                status=status,
                metrics=metrics,
                clients=clients,
                has_more_clients=has_more,
                denials=listed("denials", DENIALS_MAX, sort="-last_at"),
                findings=listed("findings", FINDINGS_MAX, sort="-last_at"),
                waiting=listed("responses", WAITING_MAX, sort="-number", outcome="waiting"),
                missing=missing,
            )

    def identity(self, name: str) -> tuple[Row, list[Row]]:
        """An identity as it is on record, and its clients that are connected: who is hit by what is done to it."""
        with self._open() as broker:
            found = broker.get(path_of("identities", name))
            clients = broker.get("/clients", identity=literally(name), limit=CLIENTS_MAX)["items"]
        return found, clients

    def disconnect(self, client_id: str, tenant: str | None, why: str) -> None:
        """Ends a connection."""
        with self._open() as broker:
            broker.delete(path_of("clients", client_id), why=why, tenant=tenant)

    def revoke(self, name: str, why: str) -> Row:
        """Ends an identity for ever; what that ended."""
        return self._post(path_of("identities", name, "revocation"), {"note": why})

    def quarantine(self, name: str, why: str, span: timedelta | None) -> Row:
        """Leaves it the role `quarantine` alone; what that ended."""
        until = None if span is None else (datetime.now(UTC) + span).isoformat()
        return self._post(path_of("identities", name, "quarantine"), {"reason": why, "until": until})

    def release(self, name: str) -> Row:
        """Ends its quarantine."""
        return self._post(path_of("identities", name, "release"), None)

    def acknowledge(self, number: int, why: str) -> None:
        """Somebody has seen to a finding."""
        self._post("/findings/acknowledgements", {"numbers": [number], "why": why})

    def mute(self, finding: Row, why: str, span: timedelta) -> None:
        """Nobody is told of such a finding about the same for a while."""
        until = (datetime.now(UTC) + span).isoformat()
        of = {"about": finding["about"], "name": finding["name"]} if finding["name"] else {}
        self._post("/mutes", {"detector": finding["detector"], "until": until, "why": why, **of})

    def confirm(self, number: int) -> Row:
        """Has done what a playbook waits to do."""
        return self._post(f"/responses/{number}/confirmation", None)

    def dismiss(self, number: int) -> Row:
        """Has it not done."""
        return self._post(f"/responses/{number}/dismissal", None)

    def _post(self, path: str, body: Mapping[str, object] | None) -> Row:
        with self._open() as broker:
            return broker.post(path, body)


def _clients(broker: Remote, match: str) -> tuple[Sequence[Row], bool]:
    page = broker.get("/clients", sort="-messages_in", limit=CLIENTS_MAX)
    has_more = page["next"] is not None
    if not (has_more and match):
        return page["items"], has_more
    named = broker.get("/clients", match=f"*{literally(match)}*", limit=CLIENTS_MAX)["items"]
    return list({key_of(client): client for client in (*page["items"], *named)}.values()), has_more


def literally(text: str) -> str:
    """A pattern that only this text fits."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def numbers_of(exposition: str) -> dict[str, float]:
    """The metrics without labels in Prometheus' text."""
    found: dict[str, float] = {}
    for line in exposition.splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("bartizan_") and "{" not in name:
            found[name] = float(value.partition(" ")[0])
    return found
