"""The relational schema, for SQLite (STRICT) and, by the same Core code, PostgreSQL.

Migrations only go forward: each is applied once, in one transaction, and the version is written
with it. A store written by a newer Bartizan is refused, not guessed at.
"""

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from bartizan.errors import StoreUnavailable

METADATA = MetaData()
_BIG = Integer().with_variant(BigInteger(), "postgresql")
_STRICT = {"sqlite_strict": True}

SCHEMA = Table("schema_version", METADATA, Column("version", Integer, primary_key=True), **_STRICT)

REVISION = Table(
    "revision",
    METADATA,
    Column("only", Integer, primary_key=True),
    Column("value", _BIG, nullable=False),
    **_STRICT,
)
"""One row, raised in every transaction: another process sees by it that something changed."""

IDENTITY = Table(
    "identity",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("revision", _BIG, nullable=False),
    Index("identity_by_revision", "revision"),
    **_STRICT,
)

ROLE = Table(
    "identity_role",
    METADATA,
    Column("identity", Text, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    **_STRICT,
)

ATTRIBUTE = Table(
    "identity_attribute",
    METADATA,
    Column("identity", Text, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
    Column("attribute", Text, primary_key=True),
    Column("value", Text, nullable=False),
    **_STRICT,
)

CREDENTIAL = Table(
    "credential",
    METADATA,
    Column("identity", Text, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("hash", Text),
    Column("must_change", Integer),
    Column("fingerprint_sha256", Text),
    Column("serial_hex", Text),
    Column("not_after", Text),
    Column("revoked_at", Text),
    **_STRICT,
)

REMOVED = Table(
    "identity_removed",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("revision", _BIG, nullable=False),
    **_STRICT,
)


def _first(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[REVISION, IDENTITY, ROLE, ATTRIBUTE, CREDENTIAL, REMOVED])
    connection.execute(insert(REVISION).values(only=1, value=0))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)
"""Migration n brings version n-1 to n. Never change one that was released: add another."""


def migrate(connection: Connection) -> None:
    """Brings the schema to the newest version, or raises `StoreUnavailable` for a newer one."""
    fresh = not inspect(connection).has_table(SCHEMA.name)
    if fresh:
        SCHEMA.create(connection, checkfirst=True)
    version = connection.execute(select(SCHEMA.c.version)).scalar_one_or_none()
    if version is None:
        connection.execute(insert(SCHEMA).values(version=0))
        version = 0
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"the identity store has schema {version}, this Bartizan knows {len(MIGRATIONS)}: use the newer Bartizan"
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute(update(SCHEMA).values(version=number))
