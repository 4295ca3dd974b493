"""The tables of rules, alerts and evaluation. Times in ns since 1970 UTC.

`migrations` makes them; a test holds the two together. Those of notifications are in `tables_notify.py`.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""A key that the database counts up."""

rule = sa.Table(
    "rule",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("content", sa.JSON(none_as_null=True)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("rule_revision", "revision"),
)
"""Rules as they are now; without `content`: deleted, and kept for a while so that every replica hears of it."""

rule_version = sa.Table(
    "rule_version",
    metadata,
    sa.Column("rule_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("content", sa.JSON(none_as_null=True)),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
)
"""Every version that a rule had; the last without `content` if it was deleted."""

rule_error = sa.Table(
    "rule_error",
    metadata,
    sa.Column("rule_id", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("message", sa.String(1024), nullable=False),
    sa.Column("device", sa.String(256), nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
"""What was last wrong with a rule in a partition, at the device where it was seen."""

revision = sa.Table(
    "revision",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""Counts the changes of `rules`, and of `routing`, which is all that decides who is told, so that replicas see them.

`partitions` is into how many the rows of device_state and alert are divided."""

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("rule_id", sa.String(64), nullable=False),
    sa.Column("rule", sa.String(256), nullable=False),
    sa.Column("rule_version", sa.Integer, nullable=False),
    sa.Column("device", sa.String(256), nullable=False),
    sa.Column("group_id", sa.String(256), nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("metric", sa.String(256), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("threshold", sa.Double),
    sa.Column("no_data", sa.Boolean, nullable=False),
    sa.Column("flapping", sa.Boolean, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("fired_at", sa.BigInteger),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("reason", sa.String(32)),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("annotations", sa.JSON, nullable=False),
    sa.Column("runbook", sa.String(2000), nullable=False),
    # What follows is the operators'. Evaluation never writes it, operators never write what is above.
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("acknowledged_by", sa.String(256)),
    sa.Column("acknowledged_note", sa.String(4096)),
    sa.Column("acknowledged_until", sa.BigInteger),
    sa.Column("acknowledged_level", sa.Integer),
    sa.Column("assignee", sa.String(256)),
    sa.Column("shelved_at", sa.BigInteger),
    sa.Column("shelved_by", sa.String(256)),
    sa.Column("shelved_note", sa.String(4096)),
    sa.Column("shelved_until", sa.BigInteger),
    sa.Column("end_asked_by", sa.String(256)),
    sa.Index("alert_state", "state", "id"),
    sa.Index("alert_resolved", "resolved_at"),
    sa.Index("alert_rule", "rule_id", "id"),
    sa.Index("alert_device", "device", "id"),
)
is_open = alert.c.state.in_(("pending", "firing"))
sa.Index(
    "alert_open",
    alert.c.rule_id,
    alert.c.device,
    alert.c.group_id,
    unique=True,  # whatever the code does: never two open alerts for one rule and subject
    sqlite_where=is_open,
    postgresql_where=is_open,
)
sa.Index("alert_open_partition", alert.c.partition, sqlite_where=is_open, postgresql_where=is_open)
is_to_end = sa.and_(alert.c.end_asked_by.is_not(None), is_open)
sa.Index("alert_end_asked", alert.c.partition, sqlite_where=is_to_end, postgresql_where=is_to_end)

change = sa.Table(
    "change",
    metadata,
    sa.Column("seq", SEQ, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("reason", sa.String(32)),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("who", sa.String(256), nullable=False, server_default=""),
    sa.Column("note", sa.String(4096), nullable=False, server_default=""),
    sa.Index("change_alert", "alert_id", "seq"),
    sqlite_autoincrement=True,
)
"""The history of alerts: `at` in event time, `changed_at` by the clock; `who` did it, if it was a person."""

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", SEQ, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""Changes that routing has not seen yet: written with the change, and taken off with what routing makes of it."""

device_state = sa.Table(
    "device_state",
    metadata,
    sa.Column("device", sa.String(256), primary_key=True),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("device_state_partition", "partition"),
)
"""What evaluation knows of a device between two readings (`alerting/evaluation/memory.py`)."""

shard = sa.Table(
    "shard",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
)
"""Who evaluates a partition: whoever loaded its state last. All that another writes is refused. -1: group rules."""

position = sa.Table(
    "position",
    metadata,
    sa.Column("stream", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("created", sa.String(64), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
"""Up to which message of a stream a partition's state stands; `created` tells a stream from a later one of its name.

Partition -1 has what an earlier version, which did not divide, knew for all of them."""

claim = sa.Table(
    "claim",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)
"""What one replica does for all, and until when it may be silent before another does it."""
