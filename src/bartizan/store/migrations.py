"""How a store of an earlier Bartizan becomes one of today's: forward only, each step once.

Every step is written with the tables as they were then, never with those of `tables`: a step that was
released is never changed. All steps run in one transaction, and the version is written with them. A
store written by a newer Bartizan is refused, not guessed at.
"""

from collections.abc import Callable, Sequence
from secrets import token_hex

from sqlalchemy import (
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
    text,
    update,
)

from bartizan.errors import StoreUnavailable
from bartizan.store.ports import DECOY_KEY_BYTES
from bartizan.store.tables import BIG, NAME, SCHEMA, STRICT


def _first(connection: Connection) -> None:
    """Identities with roles, attributes and credentials."""
    then = MetaData()
    revision = Table(
        "revision",
        then,
        Column("only", Integer, primary_key=True),
        Column("value", BIG, nullable=False),
        **STRICT,
    )
    Table(
        "identity",
        then,
        Column("name", NAME, primary_key=True),
        Column("state", Text, nullable=False),
        Column("note", Text, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("revision", BIG, nullable=False),
        Index("identity_by_revision", "revision"),
        **STRICT,
    )
    Table(
        "identity_removed",
        then,
        Column("name", NAME, primary_key=True),
        Column("revision", BIG, nullable=False),
        **STRICT,
    )
    _first_owned(then)
    then.create_all(connection)
    connection.execute(insert(revision).values(only=1, value=0))


def _first_owned(then: MetaData) -> None:
    """What belongs to one identity."""
    Table(
        "identity_role",
        then,
        Column("identity", NAME, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
        Column("role", NAME, primary_key=True),
        Column("position", Integer, nullable=False),
        **STRICT,
    )
    Table(
        "identity_attribute",
        then,
        Column("identity", NAME, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
        Column("attribute", NAME, primary_key=True),
        Column("value", Text, nullable=False),
        **STRICT,
    )
    Table(
        "credential",
        then,
        Column("identity", NAME, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
        Column("id", NAME, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("hash", Text),
        Column("must_change", Integer),
        Column("fingerprint_sha256", Text),
        Column("serial_hex", Text),
        Column("not_after", Text),
        Column("revoked_at", Text),
        **STRICT,
    )


_SECOND_COLUMNS = (
    ("revision", "groups_value", "{big} NOT NULL DEFAULT 0"),
    ("identity", "owner", "TEXT NOT NULL DEFAULT ''"),
    ("identity", "quarantined_until", "TEXT"),
    ("identity", "quarantine_reason", "TEXT NOT NULL DEFAULT ''"),
    ("credential", "expires_at", "TEXT"),
    ("credential", "note", "TEXT NOT NULL DEFAULT ''"),
    ("credential", "issuer", "TEXT"),
    ("credential", "mechanism", "TEXT"),
    ("credential", "iterations", "INTEGER"),
    ("credential", "salt", "TEXT"),
    ("credential", "stored_key", "TEXT"),
    ("credential", "server_key", "TEXT"),
)


def _second(connection: Connection) -> None:
    """Groups, owners, quarantine, credentials that end, SCRAM keys, and what was used when."""
    _add(connection, _SECOND_COLUMNS)
    then = MetaData()
    Table("identity", then, Column("name", NAME, primary_key=True))
    Table(
        "identity_group",
        then,
        Column("name", NAME, primary_key=True),
        Column("note", Text, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("revision", BIG, nullable=False),
        **STRICT,
    )
    Table(
        "group_role",
        then,
        Column("group_name", NAME, ForeignKey("identity_group.name", ondelete="CASCADE"), primary_key=True),
        Column("role", NAME, primary_key=True),
        Column("position", Integer, nullable=False),
        **STRICT,
    )
    Table(
        "group_member",
        then,
        Column("identity", NAME, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
        Column("group_name", NAME, ForeignKey("identity_group.name"), primary_key=True),
        Column("position", Integer, nullable=False),
        Index("group_member_by_group", "group_name"),
        **STRICT,
    )
    Table(
        "identity_usage",
        then,
        Column("identity", NAME, ForeignKey("identity.name", ondelete="CASCADE"), primary_key=True),
        Column("credential_id", NAME, primary_key=True),
        Column("last_seen_ms", BIG, nullable=False),
        Column("address", Text, nullable=False),
        **STRICT,
    )
    made = [table for name, table in then.tables.items() if name != "identity"]
    then.create_all(connection, tables=made)


def _third(connection: Connection) -> None:
    """A secret, made once, from which what is told about names that are not there is derived."""
    connection.execute(text("ALTER TABLE revision ADD COLUMN decoy_key TEXT NOT NULL DEFAULT ''"))
    then = Table("revision", MetaData(), Column("decoy_key", Text))
    connection.execute(update(then).values(decoy_key=token_hex(DECOY_KEY_BYTES)))


def _fourth(connection: Connection) -> None:
    """Operators with what proves them."""
    then = MetaData()
    Table(
        "operator",
        then,
        Column("name", NAME, primary_key=True),
        Column("created_at", Text, nullable=False),
        Column("roles", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("is_enabled", Integer, nullable=False),
        Column("note", Text, nullable=False),
        Column("password_hash", Text, nullable=False),
        Column("must_change", Integer, nullable=False),
        Column("totp_secret", Text),
        Column("totp_created_at", Text),
        Column("totp_confirmed_at", Text),
        Column("totp_last_step", BIG),
        Column("revision", BIG, nullable=False),
        **STRICT,
    )
    Table(
        "operator_passkey",
        then,
        Column("operator", NAME, ForeignKey("operator.name", ondelete="CASCADE"), primary_key=True),
        Column("id", Text, primary_key=True),
        Column("position", Integer, nullable=False),
        Column("public_key", Text, nullable=False),
        Column("sign_count", BIG, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("last_used_at", Text),
        Column("label", Text, nullable=False),
        **STRICT,
    )
    Table(
        "operator_recovery",
        then,
        Column("operator", NAME, ForeignKey("operator.name", ondelete="CASCADE"), primary_key=True),
        Column("position", Integer, primary_key=True),
        Column("hash", Text, nullable=False),
        Column("used_at", Text),
        **STRICT,
    )
    then.create_all(connection)


def _fifth(_connection: Connection) -> None:
    """Certificates known by serial number and issuer alone: without an end, which an earlier Bartizan cannot read."""


def _sixth(connection: Connection) -> None:
    """Tokens by which programs act for operators."""
    then = MetaData()
    Table("operator", then, Column("name", NAME, primary_key=True))
    token = Table(
        "operator_token",
        then,
        Column("id", NAME, primary_key=True),
        Column("operator", NAME, ForeignKey("operator.name", ondelete="CASCADE"), nullable=False),
        Column("hash", Text, nullable=False, unique=True),
        Column("created_at", Text, nullable=False),
        Column("expires_at", Text, nullable=False),
        Column("scopes", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("last_used_at", Text),
        Index("operator_token_by_operator", "operator"),
        **STRICT,
    )
    then.create_all(connection, tables=[token])


_SEVENTH_COLUMNS = (
    ("revision", "bans_value", "{big} NOT NULL DEFAULT 0"),
    ("identity", "quarantine_ticket", "TEXT NOT NULL DEFAULT ''"),
    ("identity", "quarantined_by", "TEXT NOT NULL DEFAULT ''"),
)


def _seventh(connection: Connection) -> None:
    """Bans; of a quarantine, its ticket and by whom."""
    _add(connection, _SEVENTH_COLUMNS)
    then = MetaData()
    Table(
        "ban",
        then,
        Column("id", NAME, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("what", Text, nullable=False),
        Column("issuer", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("banned_by", Text, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("until", Text),
        **STRICT,
    )
    then.create_all(connection)


_EIGHTH_COLUMNS = (("revision", "throttles_value", "{big} NOT NULL DEFAULT 0"),)


def _eighth(connection: Connection) -> None:
    """Throttles."""
    _add(connection, _EIGHTH_COLUMNS)
    then = MetaData()
    Table(
        "throttle",
        then,
        Column("identity", NAME, primary_key=True),
        Column("messages_per_s", BIG, nullable=False),
        Column("bytes_per_s", BIG, nullable=False),
        Column("until", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("throttled_by", Text, nullable=False),
        **STRICT,
    )
    then.create_all(connection)


def _ninth(connection: Connection) -> None:
    """What waits for a second operator."""
    then = MetaData()
    Table(
        "approval",
        then,
        Column("id", NAME, primary_key=True),
        Column("asked_at", Text, nullable=False),
        Column("ends_at", Text, nullable=False),
        Column("request", Text, nullable=False),
        **STRICT,
    )
    then.create_all(connection)


def _tenth(connection: Connection) -> None:
    """Who an operator is to an OpenID Provider."""
    _add(connection, (("operator", "subject", "TEXT NOT NULL DEFAULT ''"),))


def _eleventh(connection: Connection) -> None:
    """Lists of identities by the time they were made."""
    connection.execute(text("CREATE INDEX identity_created_at ON identity (created_at, name)"))


def _add(connection: Connection, columns: Sequence[tuple[str, str, str]]) -> None:
    big = "BIGINT" if connection.dialect.name == "postgresql" else "INTEGER"
    for table, column, form in columns:
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column} {form.format(big=big)}"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    *(_first, _second, _third, _fourth),
    *(_fifth, _sixth, _seventh, _eighth, _ninth, _tenth, _eleventh),
)
"""Migration n brings version n-1 to n. Never change one that was released: add another."""


def migrate(connection: Connection) -> None:
    """Brings the schema to the newest version, or raises `StoreUnavailable` for a newer one."""
    if not inspect(connection).has_table(SCHEMA.name):
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
