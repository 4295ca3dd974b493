"""Tables of the registry database, as the newest migration leaves them. Times are ns since 1970 UTC."""

from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from contracts.devices import Calibration, Metric, Retention

metadata = MetaData()


class Typed(TypeDecorator[Any]):
    """JSON that holds a value of `type_`, which may be of contract types."""

    impl = JSON
    cache_ok = True

    def __init__(self, type_: Any = Any) -> None:  # noqa: ANN401 - whatever msgspec can read
        super().__init__()
        self.type_ = type_

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - SQLAlchemy's signature
        """Write."""
        return msgspec.to_builtins(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - as above
        """Read; None where an outer join has found no row."""
        return None if value is None else msgspec.convert(value, self.type_)


device = Table(
    "device",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("profile", String(64), nullable=False, index=True),  # it may name one that there is not yet
    Column("tags", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("zone", String(64), nullable=False, server_default=""),
    Column("calibration", Typed(dict[str, list[Calibration]]), nullable=False, server_default="{}"),
    Column("facts", JSON, nullable=False, server_default="{}"),  # what it says of itself
    Column("attributes", JSON, nullable=False, server_default="{}"),  # what operators say of it, of any JSON type
    Column("latitude", Float, nullable=True),
    Column("longitude", Float, nullable=True),
    Column("deleted", BigInteger, nullable=True),  # when, if it is; it can be restored
    Column("version", Integer, nullable=False, server_default="1"),  # one more with each change
)

# For the orders and filters of lists, which leave out those that are deleted.
for _name in ("profile", "name", "created", "updated", "enabled"):
    _live = device.c.deleted.is_(None)
    Index(f"device_{_name}", device.c[_name], device.c.id, sqlite_where=_live, postgresql_where=_live)

# The few that are deleted, so that it is quick to leave them out.
_gone = device.c.deleted.is_not(None)
Index("device_deleted", device.c.id, device.c.deleted, sqlite_where=_gone, postgresql_where=_gone)

# A tree: `path` is /a/b/ of the ids from the top to this group, so that all below it begin with it.
group = Table(
    "group_",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("parent", String(64), ForeignKey("group_.id"), nullable=True, index=True),
    Column("path", String(1024), nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

member = Table(
    "member",
    metadata,
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    Column("group_", String(64), ForeignKey("group_.id"), primary_key=True, index=True),
)

# The tags of `device.tags` once more, to look devices up by.
tag = Table(
    "tag",
    metadata,
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("value", String(256), nullable=False),
    Index("tag_value", "key", "value", "device"),
)

# What of a device is searched, apart from its row, which is ten times as long to read through.
searched = Table(
    "searched",
    metadata,
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

profile = Table(
    "profile",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("metrics", Typed(dict[str, Metric]), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("keep_raw", Boolean, nullable=False),
    Column("message_rate", String(128), nullable=False),
    Column("point_rate", String(128), nullable=False),
    Column("computed", JSON, nullable=False, server_default="{}"),
    Column("retention", Typed(Retention), nullable=False, server_default="{}"),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("interval", Float, nullable=False, server_default="0"),  # s between two readings of a device; 0: any
    Column("alerts", JSON, nullable=False, server_default="[]"),  # what alerting offers its devices as rules
    Column("version", Integer, nullable=False, server_default="1"),
)

# Each version of each profile as it was put, also of profiles that are gone.
profile_version = Table(
    "profile_version",
    metadata,
    Column("profile", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", JSON, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(256), nullable=False),
)

# A device says that it is online before its first reading registers it, so this table does not depend on `device`.
presence = Table(
    "presence",
    metadata,
    Column("device", String(256), primary_key=True),
    Column("online", Boolean, nullable=False),
    Column("changed", BigInteger, nullable=False),  # when it went online or offline
    Column("at", BigInteger, nullable=False),  # of the last message: it wins over older ones
    Column("reason", String(256), nullable=False, server_default=""),
    Index("presence_online", "online", "device"),
)

# What devices have sent, registered or not: when the last message came, and how many came.
activity = Table(
    "activity",
    metadata,
    Column("device", String(256), primary_key=True),
    Column("last_seen", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
)

# Messages on the stream ACTIVITY that are counted above, the last ones.
activity_heard = Table(
    "activity_heard",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),  # a stream that is made anew counts anew
)

# One row a change, in the change's own transaction: the bucket does not hold this device, or profile, as it is now.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("device", String(256), nullable=False),
    Column("kind", String(16), nullable=False, server_default="device"),  # or profile, whose id stands in `device`
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
