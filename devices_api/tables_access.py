"""Tables of who may do what, who did what, and what was answered. Times are ns since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table

from devices_api.tables import metadata

# One row a change, in the change's own transaction.
audit_log = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("who", String(300), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(512), nullable=False),
    Column("before", JSON(none_as_null=True), nullable=True),  # of the changed fields; null: it was not there
    Column("after", JSON(none_as_null=True), nullable=True),  # as above; null: it is gone
    Column("request", String(128), nullable=False),
    Index("audit_who", "who", "id"),
    Index("audit_action", "action", "id"),
    Index("audit_target", "target", "id"),
    sqlite_autoincrement=True,  # an id is never given again, so a cursor stays where it is
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(256), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),  # SHA-256 of the key's text, in hex
    Column("scopes", JSON, nullable=False),
    Column("groups", JSON(none_as_null=True), nullable=True),  # null: it is not limited to any
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(300), nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("last_used", BigInteger, nullable=True),
    Column("disabled", Boolean, nullable=False),
)

# What stands in for a key once, where no header can be sent.
ticket = Table(
    "ticket",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the ticket, in hex
    Column("principal", JSON, nullable=False),  # who it stands for
    Column("expires", BigInteger, nullable=False, index=True),
)

# A POST that was sent with an idempotency key: it is being done, or it was done and this is what was answered.
answer = Table(
    "answer",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of who asked and their idempotency key, in hex
    Column("request", String(64), nullable=False),  # HMAC of method, path and body under that key, in hex
    Column("claim", String(32), nullable=False),  # whose attempt it is
    Column("expires", BigInteger, nullable=False, index=True),
    Column("status", Integer, nullable=True),  # null: it is not done yet
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=True),  # null: it is not kept
)
