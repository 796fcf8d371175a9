"""What playbooks did about findings, would do, or wait to do: in the file of the findings, bounded."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bartizan.errors import NotFound
from bartizan.model.finding import About
from bartizan.model.response import Outcome, Response
from bartizan.store.small_file import SmallFile

RESPONSES_MAX = 10_000
"""The oldest give way."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS response (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    finding INTEGER NOT NULL, playbook TEXT NOT NULL, action TEXT NOT NULL, about TEXT NOT NULL, name TEXT NOT NULL,
    outcome TEXT NOT NULL, text TEXT NOT NULL, at_ms INTEGER NOT NULL, by TEXT NOT NULL
) STRICT;
"""

_COLUMNS = "number, finding, playbook, action, about, name, outcome, text, at_ms, by"


class ResponseStore:
    """The table. Every call opens the file, and closes it again."""

    def __init__(self, path: Path) -> None:
        self._file = SmallFile(path, _SCHEMA, "responses")

    def put(self, response: Response) -> Response:
        """Keeps one; with its number."""
        values = (
            response.finding,
            response.playbook,
            response.action,
            str(response.about),
            response.name,
            str(response.outcome),
            response.text,
            int(response.at.timestamp() * 1000),
            response.by,
        )
        with self._file.writing() as connection:
            (number,) = connection.execute(
                "INSERT INTO response (finding, playbook, action, about, name, outcome, text, at_ms, by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
                values,
            ).fetchone()
            connection.execute("DELETE FROM response WHERE number <= ?", (number - RESPONSES_MAX,))
        return replace(response, number=number)

    def responses(self, outcomes: Sequence[Outcome] = tuple(Outcome)) -> list[Response]:
        """Those with these outcomes, the last ones at the end."""
        marks = ", ".join("?" * len(outcomes))
        query = f"SELECT {_COLUMNS} FROM response WHERE outcome IN ({marks}) ORDER BY number"  # noqa: S608
        with self._file.reading() as connection:
            if connection is None:
                return []
            return [_response(row) for row in connection.execute(query, tuple(map(str, outcomes)))]

    def waiting(self, number: int) -> Response:
        """The one of this number; `NotFound` if it waits no more."""
        query = f"SELECT {_COLUMNS} FROM response WHERE number = ? AND outcome = 'waiting'"  # noqa: S608
        with self._file.reading() as connection:
            found = None if connection is None else connection.execute(query, (number,)).fetchone()
        if found is None:
            raise _waits_no_more(number)
        return _response(found)

    def settle(self, number: int, outcome: Outcome, text: str, by: str) -> Response:
        """What became of one that waited; `NotFound` if it waits no more, so that it is done once."""
        with self._file.writing() as connection:
            changed = connection.execute(
                "UPDATE response SET outcome = ?, text = ?, by = ? WHERE number = ? AND outcome = 'waiting' "
                "RETURNING number, finding, playbook, action, about, name, outcome, text, at_ms, by",
                (str(outcome), text, by, number),
            ).fetchone()
        if changed is None:
            raise _waits_no_more(number)
        return _response(changed)

    def tell(self, number: int, outcome: Outcome, text: str) -> None:
        """How one ended that was begun."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE response SET outcome = ?, text = ? WHERE number = ?", (str(outcome), text, number)
            )


def _waits_no_more(number: int) -> NotFound:
    return NotFound(f"no response with the number {number} waits: `bartizan response list` shows them")


def _response(row: Sequence[Any] | sqlite3.Row) -> Response:
    number, finding, playbook, action, about, name, outcome, text, at_ms, by = row
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Response(number, finding, playbook, action, About(about), name, Outcome(outcome), text, at, by)
