"""What was observed, in one SQLite file beside the identities: bounded, written in batches, read by any process.

Losing the last seconds of it harms nobody: unlike identities it is not synced with each commit.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from bartizan.model.observation import Observation, RuleUse, Watched
from bartizan.store.small_file import SmallFile

KINDS_MAX: Mapping[Watched, int] = {Watched.DENIED: 20_000, Watched.DIFFERS: 20_000, Watched.LEARNED: 200_000}
"""Kinds of requests that are kept. Of denials the oldest give way; of the others what is new is counted as lost."""

USES_MAX = 2_000_000
"""Pairs of identity and rule that are kept; the longest unused give way."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    watched TEXT NOT NULL, identity TEXT NOT NULL, client TEXT NOT NULL, action TEXT NOT NULL, topic TEXT NOT NULL,
    rule TEXT NOT NULL, staged_rule TEXT NOT NULL,
    client_id TEXT NOT NULL, why TEXT NOT NULL, staged_why TEXT NOT NULL, listener TEXT NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, bytes INTEGER NOT NULL, count INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    UNIQUE (watched, identity, client, action, topic, rule, staged_rule)
) STRICT;
CREATE INDEX IF NOT EXISTS observation_last ON observation (watched, last_ms);
CREATE TABLE IF NOT EXISTS rule_use (
    identity TEXT NOT NULL, rule TEXT NOT NULL, topic TEXT NOT NULL, several INTEGER NOT NULL,
    first_day INTEGER NOT NULL, last_day INTEGER NOT NULL,
    PRIMARY KEY (identity, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

_PUT = """
INSERT INTO observation (watched, identity, client, action, topic, rule, staged_rule, client_id, why, staged_why,
    listener, qos, retain, bytes, count, first_ms, last_ms)
VALUES (:watched, :identity, :client, :action, :topic, :rule, :staged_rule, :client_id, :why, :staged_why,
    :listener, :qos, :retain, :bytes, :count, :first_ms, :last_ms)
ON CONFLICT (watched, identity, client, action, topic, rule, staged_rule) DO UPDATE SET
    client_id = excluded.client_id, why = excluded.why, staged_why = excluded.staged_why, listener = excluded.listener,
    qos = max(qos, excluded.qos), retain = max(retain, excluded.retain), bytes = max(bytes, excluded.bytes),
    count = count + excluded.count, first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
"""

_USED = """
INSERT INTO rule_use (identity, rule, topic, several, first_day, last_day) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (identity, rule) DO UPDATE SET
    several = max(several, excluded.several, topic <> excluded.topic), last_day = max(last_day, excluded.last_day)
"""

_COLUMNS = (
    "number, watched, identity, client_id, action, topic, rule, why, staged_rule, staged_why, listener, qos, retain, "
    "bytes, count, first_ms, last_ms"
)

_TABLES: Mapping[str, Watched] = {
    "denials": Watched.DENIED,
    "differences": Watched.DIFFERS,
    "learned": Watched.LEARNED,
}
"""What the engine calls them."""


class ObservationStore:
    """The file. Every call opens it, waits for other writers, and closes it again."""

    def __init__(self, path: Path, *, kinds_max: Mapping[Watched, int] = KINDS_MAX, uses_max: int = USES_MAX) -> None:
        self._file = SmallFile(path, _SCHEMA, "observations")
        self._kinds_max = kinds_max
        self._uses_max = uses_max

    def write(self, observed: Sequence[Mapping[str, Any]], today: date) -> None:
        """Adds what shards of an engine observed (`take_observations`)."""
        with self._file.writing() as connection:
            for shard in observed:
                connection.executemany(_USED, [_use(use, today) for use in shard["uses"]])
                for table, watched in _TABLES.items():
                    lost = shard["lost"][table] + self._put(connection, watched, shard[table])
                    _count(connection, f"lost {watched}", lost)
                _count(connection, "lost uses", shard["lost"]["uses"])
            self._make_room(connection)
            if connection.execute("SELECT 1 FROM fact WHERE name = 'since'").fetchone() is None:
                connection.execute("INSERT INTO fact VALUES ('since', ?)", (json.dumps(today.isoformat()),))

    def observations(self, watched: Watched, *, since: datetime | None = None, identity: str = "") -> list[Observation]:
        """Those that were last seen since then, in this order."""
        since_ms = 0 if since is None else int(since.timestamp() * 1000)
        query = f"SELECT {_COLUMNS} FROM observation WHERE watched = ? AND last_ms >= ?"  # noqa: S608  only our words
        with self._file.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"{query} ORDER BY last_ms, number", (watched.value, since_ms)).fetchall()
        return [found for row in rows if not identity or row[2] == identity for found in [_observation(row)]]

    def observation(self, number: int) -> Observation | None:
        """The one of this number."""
        query = f"SELECT {_COLUMNS} FROM observation WHERE number = ?"  # noqa: S608  only our words
        with self._file.reading() as connection:
            row = None if connection is None else connection.execute(query, (number,)).fetchone()
        return None if row is None else _observation(row)

    def uses(self) -> list[RuleUse]:
        """Which rules were used by whom."""
        with self._file.reading() as connection:
            if connection is None:
                return []
            query = "SELECT identity, rule, topic, several, first_day, last_day FROM rule_use"
            rows = connection.execute(query).fetchall()
        return [
            RuleUse(identity, rule, topic, bool(several), date.fromordinal(first), date.fromordinal(last))
            for identity, rule, topic, several, first, last in rows
        ]

    def forget(self, watched: Watched) -> None:
        """Drops all of these, and the number of what was lost."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM observation WHERE watched = ?", (watched.value,))
            connection.execute("DELETE FROM fact WHERE name = ?", (f"lost {watched}",))

    def lost(self, watched: Watched) -> int:
        """How many requests did not fit."""
        return self.fact(f"lost {watched}") or 0

    def since(self) -> date | None:
        """The first day on which anything was observed; None if there is none yet."""
        text = self.fact("since")
        return None if text is None else date.fromisoformat(text)

    def fact(self, name: str) -> Any:  # noqa: ANN401  what JSON holds
        """What was kept under this name; None if nothing was."""
        with self._file.reading() as connection:
            query = "SELECT value FROM fact WHERE name = ?"
            row = None if connection is None else connection.execute(query, (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, name: str, value: object) -> None:
        """Keeps this under a name; None drops what is there."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM fact WHERE name = ?", (name,))
            if value is not None:
                connection.execute("INSERT INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    def _put(self, connection: sqlite3.Connection, watched: Watched, rows: Sequence[Mapping[str, Any]]) -> int:
        """How many requests found no room."""
        lost = 0
        (there,) = connection.execute("SELECT count(*) FROM observation WHERE watched = ?", (watched.value,)).fetchone()
        room = self._kinds_max[watched] - there
        for row in rows:
            values = _values(watched, row)
            is_new = not _is_there(connection, values)
            if is_new and room <= 0 and watched is not Watched.DENIED:
                lost += row["count"]
                continue
            connection.execute(_PUT, values)
            room -= is_new
        return lost

    def _make_room(self, connection: sqlite3.Connection) -> None:
        newest = "SELECT number FROM observation WHERE watched = ? ORDER BY last_ms DESC, number DESC LIMIT -1 OFFSET ?"
        most = self._kinds_max[Watched.DENIED]
        connection.execute(
            f"DELETE FROM observation WHERE number IN ({newest})",  # noqa: S608  only our words
            (Watched.DENIED.value, most),
        )
        (uses,) = connection.execute("SELECT count(*) FROM rule_use").fetchone()
        if uses > self._uses_max:
            oldest = "SELECT identity, rule FROM rule_use ORDER BY last_day LIMIT ?"
            connection.execute(
                f"DELETE FROM rule_use WHERE (identity, rule) IN ({oldest})",  # noqa: S608  only our words
                (uses - self._uses_max,),
            )


def _use(use: Mapping[str, Any], today: date) -> tuple[str, str, str, int, int, int]:
    day = today.toordinal()
    return use["identity"], use["rule"], use["topic"], int(use["several"]), day, day


def _values(watched: Watched, row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: row[key] for key in ("identity", "client_id", "action", "topic", "why", "staged_why", "listener")}
    numbers = {key: int(row[key]) for key in ("qos", "retain", "bytes", "count", "first_ms", "last_ms")}
    return {
        **plain,
        **numbers,
        "watched": watched.value,
        # Clients of one identity are told apart where the Client Identifier is what is learned.
        "client": row["client_id"] if watched is Watched.LEARNED else "",
        "rule": row["rule"] or "",
        "staged_rule": row["staged_rule"] or "",
    }


_KEY = ("watched", "identity", "client", "action", "topic", "rule", "staged_rule")


def _is_there(connection: sqlite3.Connection, values: Mapping[str, Any]) -> bool:
    same = " AND ".join(f"{column} = :{column}" for column in _KEY)
    query = f"SELECT 1 FROM observation WHERE {same}"  # noqa: S608  only our words
    return connection.execute(query, {column: values[column] for column in _KEY}).fetchone() is not None


def _count(connection: sqlite3.Connection, name: str, more: int) -> None:
    if more:
        connection.execute(
            "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, str(more)),
        )


def _observation(row: Sequence[Any]) -> Observation:
    number, watched, *texts, qos, retain, octets, count, first_ms, last_ms = row
    identity, client_id, action, topic, rule, why, staged_rule, staged_why, listener = texts
    return Observation(
        number=number,
        watched=Watched(watched),
        identity=identity,
        client_id=client_id,
        action=action,
        topic=topic,
        rule=rule,
        why=why,
        staged_rule=staged_rule,
        staged_why=staged_why,
        listener=listener,
        qos=qos,
        retain=bool(retain),
        bytes=octets,
        count=count,
        first_at=datetime.fromtimestamp(first_ms / 1000, UTC),
        last_at=datetime.fromtimestamp(last_ms / 1000, UTC),
    )
