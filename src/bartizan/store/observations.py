"""What was observed, in one SQLite file beside the identities: bounded, written in batches, read by any process.

Losing the last seconds of it harms nobody: unlike identities it is not synced with each commit.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
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
CREATE TABLE IF NOT EXISTS used (
    identity TEXT NOT NULL, rule TEXT NOT NULL, client TEXT NOT NULL, topic TEXT NOT NULL,
    last_day INTEGER NOT NULL, other_day INTEGER NOT NULL,
    PRIMARY KEY (identity, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rule (fingerprint TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
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
INSERT INTO used (identity, rule, client, topic, last_day, other_day) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (identity, rule) DO UPDATE SET
    other_day = max(other_day, excluded.other_day,
        CASE WHEN topic <> excluded.topic OR client <> excluded.client THEN last_day ELSE 0 END),
    client = excluded.client, topic = excluded.topic, last_day = max(last_day, excluded.last_day)
"""

_SINCE, _LOST, _LOST_ON, _OPEN = "uses since", "uses lost", "uses lost on", "uses open"
"""Facts: when use was first watched, how many uses are known to be missing, the last day of which one is, and whether
a broker notes uses that are not written yet."""

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
        """Adds what shards of an engine observed (`take_observations`), its rules by fingerprint."""
        with self._file.writing() as connection:
            for shard in observed:
                connection.executemany(_USED, [_use(use, today) for use in shard["uses"]])
                for table, watched in _TABLES.items():
                    lost = shard["lost"][table] + self._put(connection, watched, shard[table])
                    _count(connection, f"lost {watched}", lost)
                _lose(connection, shard["lost"]["uses"], today.toordinal())
            self._make_room(connection)

    def observations(self, watched: Watched, *, since: datetime | None = None, identity: str = "") -> list[Observation]:
        """Those that were last seen since then, in this order."""
        since_ms = 0 if since is None else _ms(since)
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
            query = "SELECT identity, client, rule, topic, last_day, other_day FROM used"
            rows = connection.execute(query).fetchall()
        return [
            RuleUse(identity, client, rule, topic, date.fromordinal(last), date.fromordinal(other) if other else None)
            for identity, client, rule, topic, last, other in rows
        ]

    def opened(self, today: date) -> None:
        """A broker begins to note uses. If the one before has not ended in order, its last minutes are missing."""
        with self._file.writing() as connection:
            if connection.execute("SELECT 1 FROM fact WHERE name = ?", (_OPEN,)).fetchone() is not None:
                _lose(connection, 1, today.toordinal())
            connection.execute("INSERT OR IGNORE INTO fact VALUES (?, 'true')", (_OPEN,))

    def closed(self) -> None:
        """All that it noted is written."""
        self.keep(_OPEN, None)

    def rules_are(self, rules: Collection[str], now: datetime) -> None:
        """From now on these rules, by fingerprint, are in force; of others it is not known what they would be used for."""
        now_ms = _ms(now)
        with self._file.writing() as connection:
            before = {rule for (rule,) in connection.execute("SELECT fingerprint FROM rule")}
            connection.executemany("DELETE FROM rule WHERE fingerprint = ?", [(rule,) for rule in before - {*rules}])
            connection.executemany("INSERT INTO rule VALUES (?, ?)", [(rule, now_ms) for rule in {*rules} - before])
            connection.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (_SINCE, str(now_ms)))

    def rules(self) -> Mapping[str, datetime]:
        """The rules in force, by fingerprint, and since when each of them is."""
        with self._file.reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute("SELECT fingerprint, since_ms FROM rule").fetchall()
        return {rule: _at(since_ms) for rule, since_ms in rows}

    def uses_since(self) -> datetime | None:
        """Since when it is watched which rules are used; None if it never was."""
        since_ms = self.fact(_SINCE)
        return None if since_ms is None else _at(since_ms)

    def uses_lost(self) -> tuple[int, date] | None:
        """How many uses are missing at least, and the last day that lacks any; None if all are there."""
        lost_on = self.fact(_LOST_ON)
        return None if lost_on is None else (self.fact(_LOST), date.fromordinal(lost_on))

    def forget(self, watched: Watched) -> None:
        """Drops all of these, and the number of what was lost."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM observation WHERE watched = ?", (watched.value,))
            connection.execute("DELETE FROM fact WHERE name = ?", (f"lost {watched}",))

    def lost(self, watched: Watched) -> int:
        """How many requests did not fit."""
        return self.fact(f"lost {watched}") or 0

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
        (uses,) = connection.execute("SELECT count(*) FROM used").fetchone()
        if uses > self._uses_max:
            oldest = "SELECT identity, rule FROM used ORDER BY last_day LIMIT ?"
            gone = connection.execute(
                f"DELETE FROM used WHERE (identity, rule) IN ({oldest}) RETURNING last_day",  # noqa: S608  only our words
                (uses - self._uses_max,),
            ).fetchall()
            _lose(connection, len(gone), max(day for (day,) in gone))


def _use(use: Mapping[str, Any], today: date) -> tuple[str, str, str, str, int, int]:
    day = today.toordinal()
    return use["identity"], use["rule"], use["client_id"], use["topic"], day, day if use["several"] else 0


def _lose(connection: sqlite3.Connection, uses: int, day: int) -> None:
    """Notes that so many uses, the last of them on that day, are not there."""
    _count(connection, _LOST, uses)
    if uses:
        connection.execute(
            "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER), ?)",
            (_LOST_ON, str(day), day),
        )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _at(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


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
        first_at=_at(first_ms),
        last_at=_at(last_ms),
    )
