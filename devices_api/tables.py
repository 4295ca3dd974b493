"""Tables of the registry database, as the newest migration leaves them. Times are ns since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, MetaData, String, Table

metadata = MetaData()

device = Table(
    "device",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)

# A device says that it is online before its first reading registers it, so this table does not depend on `device`.
presence = Table(
    "presence",
    metadata,
    Column("device", String(256), primary_key=True),
    Column("online", Boolean, nullable=False),
    Column("changed", BigInteger, nullable=False),  # when it went online or offline
    Column("at", BigInteger, nullable=False),  # of the last message: it wins over older ones
)

# One row a change, in the change's own transaction: the bucket does not hold this device as it is now.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("device", String(256), nullable=False),
    sqlite_autoincrement=True,
)

# A device's dead letters of a reason that are replayed by themselves, because what they lacked has come.
auto_replay = Table(
    "auto_replay",
    metadata,
    Column("device", String(256), primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("since", BigInteger, nullable=False),  # those received before it have had their chance
    Column("asked", BigInteger, nullable=False),  # when what they lacked came last
    Column("due", BigInteger, nullable=True, index=True),  # of the next pass; null when there is none
    Column("passes", Integer, nullable=False),  # done since it was asked for
)
