"""The relational schema of today, for SQLite (STRICT) and, by the same Core code, PostgreSQL.

`migrations` makes these tables; here they are only named, for queries.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text

METADATA = MetaData()
BIG = Integer().with_variant(BigInteger(), "postgresql")
# Ordered by code point in both: pages are in the order that Python sorts in.
NAME = Text().with_variant(Text(collation="C"), "postgresql")
STRICT = {"sqlite_strict": True}

SCHEMA = Table("schema_version", METADATA, Column("version", Integer, primary_key=True), **STRICT)

REVISION = Table(
    "revision",
    METADATA,
    Column("only", Integer, primary_key=True),
    Column("value", BIG, nullable=False),
    Column("groups_value", BIG, nullable=False),
    Column("bans_value", BIG, nullable=False),
    Column("throttles_value", BIG, nullable=False),
    Column("decoy_key", Text, nullable=False),
)
"""One row, raised in every transaction: another process sees by it that something changed.

`groups_value` is the revision at which any group was last written or removed, `bans_value` that of bans,
`throttles_value` that of throttles; `decoy_key`, made once, is what is told about names that are not there derived from.
"""

IDENTITY = Table(
    "identity",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("revision", BIG, nullable=False),
    Column("owner", Text, nullable=False),
    Column("quarantined_until", Text),
    Column("quarantine_reason", Text, nullable=False),
    Column("quarantine_ticket", Text, nullable=False),
    Column("quarantined_by", Text, nullable=False),
)

ROLE = Table(
    "identity_role",
    METADATA,
    Column("identity", NAME, ForeignKey("identity.name"), primary_key=True),
    Column("role", NAME, primary_key=True),
    Column("position", Integer, nullable=False),
)

ATTRIBUTE = Table(
    "identity_attribute",
    METADATA,
    Column("identity", NAME, ForeignKey("identity.name"), primary_key=True),
    Column("attribute", NAME, primary_key=True),
    Column("value", Text, nullable=False),
)

CREDENTIAL = Table(
    "credential",
    METADATA,
    Column("identity", NAME, ForeignKey("identity.name"), primary_key=True),
    Column("id", NAME, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("revoked_at", Text),
    Column("note", Text, nullable=False),
    Column("hash", Text),
    Column("must_change", Integer),
    Column("fingerprint_sha256", Text),
    Column("serial_hex", Text),
    Column("issuer", Text),
    Column("not_after", Text),
    Column("mechanism", Text),
    Column("iterations", Integer),
    Column("salt", Text),
    Column("stored_key", Text),
    Column("server_key", Text),
)
"""One row for each; columns of the other kinds are NULL."""

MEMBER = Table(
    "group_member",
    METADATA,
    Column("identity", NAME, ForeignKey("identity.name"), primary_key=True),
    Column("group_name", NAME, ForeignKey("identity_group.name"), primary_key=True),
    Column("position", Integer, nullable=False),
)

GROUP = Table(
    "identity_group",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("note", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("revision", BIG, nullable=False),
)

GROUP_ROLE = Table(
    "group_role",
    METADATA,
    Column("group_name", NAME, ForeignKey("identity_group.name"), primary_key=True),
    Column("role", NAME, primary_key=True),
    Column("position", Integer, nullable=False),
)

REMOVED = Table(
    "identity_removed",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("revision", BIG, nullable=False),
)

USAGE = Table(
    "identity_usage",
    METADATA,
    Column("identity", NAME, ForeignKey("identity.name"), primary_key=True),
    Column("credential_id", NAME, primary_key=True),
    Column("last_seen_ms", BIG, nullable=False),
    Column("address", Text, nullable=False),
)

BAN = Table(
    "ban",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("banned_by", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("until", Text),
)
"""Who may not connect."""

THROTTLE = Table(
    "throttle",
    METADATA,
    Column("identity", NAME, primary_key=True),
    Column("messages_per_s", BIG, nullable=False),
    Column("bytes_per_s", BIG, nullable=False),
    Column("until", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("throttled_by", Text, nullable=False),
)
"""Who publishes more slowly."""

OPERATOR = Table(
    "operator",
    METADATA,
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
    Column("subject", Text, nullable=False),
    Column("revision", BIG, nullable=False),
)
"""The people who run the broker: nothing here belongs to an identity."""

OPERATOR_PASSKEY = Table(
    "operator_passkey",
    METADATA,
    Column("operator", NAME, ForeignKey("operator.name"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("sign_count", BIG, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("last_used_at", Text),
    Column("label", Text, nullable=False),
)

OPERATOR_TOKEN = Table(
    "operator_token",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("operator", NAME, ForeignKey("operator.name"), nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("last_used_at", Text),
)

APPROVAL = Table(
    "approval",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("asked_at", Text, nullable=False),
    Column("ends_at", Text, nullable=False),
    Column("request", Text, nullable=False),
)
"""What waits for a second operator."""

OPERATOR_RECOVERY = Table(
    "operator_recovery",
    METADATA,
    Column("operator", NAME, ForeignKey("operator.name"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("used_at", Text),
)
