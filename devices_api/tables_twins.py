"""Tables of twins and commands. Times are ns since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from devices_api.tables import Typed, metadata
from devices_api.twins.twin import Field

twin = Table(
    "twin",
    metadata,
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    Column("desired", Typed(Field), nullable=False),
    Column("reported", Typed(Field), nullable=False),
    Column("version", Integer, nullable=False),  # of the desired state; one more with each change
    Column("reports", Integer, nullable=False),  # changes of the reported state
    Column("applied", Integer, nullable=True),  # the version of the desired state that the device says it has
)

# What devices have to be told of their twins: one row each, however often it changes until then.
twin_outbox = Table(
    "twin_outbox",
    metadata,
    Column("device", String(256), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("change", Integer, nullable=False),  # one more with each change: what is sent is the last one
    Column("since", BigInteger, nullable=False, index=True),
    Column("lease", BigInteger, nullable=False),  # until then a replica has it in hand
)

command = Table(
    "command",
    metadata,
    Column("id", String(32), primary_key=True),  # in the order in which they were made
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("params", JSON, nullable=False),
    Column("awaited", Boolean, nullable=False),  # whether the device is to answer
    Column("timeout", BigInteger, nullable=False),  # ns from being sent to the answer
    Column("state", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),  # it is not sent after that
    Column("changed", BigInteger, nullable=False),  # when it came to its state
    Column("due", BigInteger, nullable=True),  # when to look at it again; null when it has ended
    Column("lease", BigInteger, nullable=False),  # until then a replica is sending it
    Column("attempts", Integer, nullable=False),  # to send it
    Column("result", JSON(none_as_null=True), nullable=True),
    Column("error", String(1024), nullable=True),
    Column("who", String(256), nullable=False),
    Index("command_device", "device", "id"),
    Index("command_state", "state", "id"),
    Index("command_due", "due"),
)

command_step = Table(
    "command_step",
    metadata,
    Column("command", String(32), ForeignKey("command.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", String(1024), nullable=False),
)
