"""Tables of the registry database, as the newest migration leaves them. Times are ns since 1970 UTC."""

from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, Boolean, Column, Dialect, Integer, MetaData, String, Table
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
