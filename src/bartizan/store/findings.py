"""Findings, what people made of them, and what detectors remember: one SQLite file, bounded, read by any process.

The same finding found again within `SAME_S` is one row that counts on, and stays acknowledged unless it got worse.
What is muted is kept as well: a mute says that nobody wants to be told, not that nothing happened.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bartizan.errors import NotFound
from bartizan.model.finding import About, Finding, Kept, Mute, Severity, State
from bartizan.store.small_file import SmallFile

SAME_S = 3_600.0
"""What is found again within this time after the last is the same finding."""

WORSE_POINTS = 20
"""An acknowledged finding that got so much worse is open again, and an open one is told again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS finding (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    detector TEXT NOT NULL, about TEXT NOT NULL, name TEXT NOT NULL,
    score INTEGER NOT NULL, text TEXT NOT NULL, technique TEXT NOT NULL,
    state TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL,
    count INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS finding_same ON finding (detector, about, name, last_ms);
CREATE TABLE IF NOT EXISTS mute (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    detector TEXT NOT NULL, about TEXT NOT NULL, name TEXT NOT NULL,
    why TEXT NOT NULL, by TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS memory (
    detector TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (detector, name)
) STRICT, WITHOUT ROWID;
"""

_COLUMNS = "number, detector, about, name, score, text, technique, state, by, why, count, first_ms, last_ms"
_SAME = "detector = :detector AND about = :about AND name = :name"


class FindingStore:
    """The file. Every call opens it, waits for other writers, and closes it again."""

    def __init__(self, path: Path, findings_max: int = 10_000) -> None:
        self._file = SmallFile(path, _SCHEMA, "findings")
        self._findings_max = findings_max

    def put(self, findings: Sequence[Finding]) -> list[Kept]:
        """Keeps them. Those that are open and were not, or that got worse, are to be told: as they are kept."""
        with self._file.writing() as connection:
            told = [kept for finding in findings if (kept := _put(connection, finding)) is not None]
            _make_room(connection, self._findings_max)
        return told

    def findings(self, states: Sequence[State] = tuple(State), since: datetime | None = None) -> list[Kept]:
        """Those in these states that were last found since then, the last ones at the end."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT {_COLUMNS} FROM finding WHERE state IN ({marks}) AND last_ms >= ? ORDER BY last_ms, number"  # noqa: S608
        with self._file.reading() as connection:
            if connection is None:
                return []
            return [_kept(row) for row in connection.execute(query, (*map(str, states), _ms(since)))]

    def finding(self, number: int) -> Kept:
        """The one of this number, or `NotFound`."""
        with self._file.reading() as connection:
            row = None if connection is None else _row(connection, number)
        if row is None:
            raise NotFound(f"no finding has the number {number}: `bartizan findings list` shows them")
        return _kept(row)

    def acknowledge(self, numbers: Sequence[int], by: str, why: str) -> list[Kept]:
        """They are seen to; all, or `NotFound` and none."""
        with self._file.writing() as connection:
            for number in numbers:
                if _row(connection, number) is None:
                    raise NotFound(f"no finding has the number {number}: none is acknowledged")
            connection.executemany(
                "UPDATE finding SET state = 'acknowledged', by = ?, why = ? WHERE number = ?",
                [(by, why, number) for number in numbers],
            )
            return [_kept(row) for number in numbers if (row := _row(connection, number)) is not None]

    def mute(self, mute: Mute) -> Mute:
        """Nobody is told of such findings until then; open ones become muted. The number of the given one is not used."""
        values = {
            "detector": mute.detector,
            "about": mute.about or "",
            "name": mute.name,
            "why": mute.why,
            "by": mute.by,
            "since": _ms(mute.since),
            "until": _ms(mute.until),
        }
        with self._file.writing() as connection:
            made = connection.execute(
                "INSERT INTO mute (detector, about, name, why, by, since_ms, until_ms) "
                "VALUES (:detector, :about, :name, :why, :by, :since, :until) RETURNING number",
                values,
            ).fetchone()
            connection.execute(
                "UPDATE finding SET state = 'muted', why = :why WHERE state = 'open' AND detector = :detector "
                "AND (:about = '' OR about = :about AND name = :name)",
                values,
            )
        return Mute(made[0], mute.detector, mute.about, mute.name, mute.why, mute.by, mute.since, mute.until)

    def unmute(self, number: int) -> Mute:
        """Ends a mute, or `NotFound`. What is found from then on is told."""
        with self._file.writing() as connection:
            row = connection.execute(f"DELETE FROM mute WHERE number = ? RETURNING {_MUTE}", (number,)).fetchone()  # noqa: S608
        if row is None:
            raise NotFound(f"no mute has the number {number}: `bartizan findings mutes` shows them")
        return _mute(row)

    def mutes(self, at: datetime) -> list[Mute]:
        """Those that hold at this time."""
        with self._file.reading() as connection:
            if connection is None:
                return []
            query = f"SELECT {_MUTE} FROM mute WHERE until_ms > ? ORDER BY number"  # noqa: S608
            return [_mute(row) for row in connection.execute(query, (_ms(at),))]

    def counts(self) -> dict[Severity, int]:
        """How many are open, by severity."""
        counts = dict.fromkeys(Severity, 0)
        with self._file.reading() as connection:
            if connection is not None:
                scores = "SELECT score, count(*) FROM finding WHERE state = 'open' GROUP BY score"
                for score, count in connection.execute(scores):
                    counts[Severity.of(score)] += count
        return counts

    def remember(self, detector: str, changed: Mapping[str, Any]) -> None:
        """Keeps what a detector has to remember, by name; None: no more."""
        with self._file.writing() as connection:
            kept = [(detector, name, json.dumps(value)) for name, value in changed.items() if value is not None]
            gone = [(detector, name) for name, value in changed.items() if value is None]
            connection.executemany("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", kept)
            connection.executemany("DELETE FROM memory WHERE detector = ? AND name = ?", gone)

    def remembered(self, detector: str) -> dict[str, Any]:
        """All that it has to remember."""
        with self._file.reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute("SELECT name, value FROM memory WHERE detector = ?", (detector,)).fetchall()
        return {name: json.loads(value) for name, value in rows}


_MUTE = "number, detector, about, name, why, by, since_ms, until_ms"


def _put(connection: sqlite3.Connection, finding: Finding) -> Kept | None:
    """Keeps one; None if nobody is to be told."""
    at_ms = int(finding.at_s * 1000)
    values = {
        "detector": finding.detector,
        "about": str(finding.about),
        "name": finding.name,
        "score": finding.score,
        "text": finding.text,
        "technique": finding.technique,
        "at": at_ms,
        "since": at_ms - int(SAME_S * 1000),
    }
    muted = connection.execute(
        "SELECT why FROM mute WHERE detector = :detector AND until_ms > :at "
        "AND (about = '' OR about = :about AND name = :name) LIMIT 1",
        values,
    ).fetchone()
    same = connection.execute(
        f"SELECT {_COLUMNS} FROM finding WHERE {_SAME} AND last_ms >= :since ORDER BY last_ms DESC LIMIT 1",  # noqa: S608
        values,
    ).fetchone()
    before = None if same is None else _kept(same)
    state, by, why = _state(before, finding, muted)
    values |= {"state": str(state), "by": by, "why": why}
    if before is None:
        number = connection.execute(
            "INSERT INTO finding (detector, about, name, score, text, technique, state, by, why, count, first_ms, last_ms) "
            "VALUES (:detector, :about, :name, :score, :text, :technique, :state, :by, :why, 1, :at, :at) RETURNING number",
            values,
        ).fetchone()[0]
    else:
        number = before.number
        connection.execute(
            "UPDATE finding SET score = max(score, :score), text = :text, state = :state, by = :by, why = :why, "
            "count = count + 1, last_ms = max(last_ms, :at) WHERE number = :number",
            values | {"number": number},
        )
    row = _row(connection, number)
    is_news = before is None or before.state is not State.OPEN or finding.score >= before.finding.score + WORSE_POINTS
    return _kept(row) if state is State.OPEN and is_news and row is not None else None


def _state(before: Kept | None, finding: Finding, muted: tuple[str] | None) -> tuple[State, str, str]:
    """State, by whom and why, of a finding that is found, perhaps again."""
    if muted is not None:
        return State.MUTED, "", muted[0]
    if before is None or before.state is not State.ACKNOWLEDGED:
        return State.OPEN, "", ""
    if finding.score >= before.finding.score + WORSE_POINTS:
        return State.OPEN, "", ""
    return State.ACKNOWLEDGED, before.by, before.why


def _make_room(connection: sqlite3.Connection, most: int) -> None:
    """Those that people have seen to give way first, then the least bad, then the oldest."""
    connection.execute(
        "DELETE FROM finding WHERE number IN (SELECT number FROM finding "
        "ORDER BY state = 'open' DESC, score DESC, last_ms DESC LIMIT -1 OFFSET ?)",
        (most,),
    )


def _row(connection: sqlite3.Connection, number: int) -> Sequence[Any] | None:
    return connection.execute(f"SELECT {_COLUMNS} FROM finding WHERE number = ?", (number,)).fetchone()  # noqa: S608


def _kept(row: Sequence[Any]) -> Kept:
    number, detector, about, name, score, text, technique, state, by, why, count, first_ms, last_ms = row
    finding = Finding(detector, About(about), name, score, text, last_ms / 1000, technique)
    return Kept(number, finding, State(state), count, _time(first_ms), _time(last_ms), by, why)


def _mute(row: Sequence[Any]) -> Mute:
    number, detector, about, name, why, by, since_ms, until_ms = row
    return Mute(number, detector, About(about) if about else None, name, why, by, _time(since_ms), _time(until_ms))


def _ms(at: datetime | None) -> int:
    return 0 if at is None else int(at.timestamp() * 1000)


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
