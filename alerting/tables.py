"""The database's tables. Times in ns since 1970 UTC. `migrations` makes them; a test holds the two together."""

import sqlalchemy as sa

metadata = sa.MetaData()

rule = sa.Table(
    "rule",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("metric", sa.String(256), nullable=False),
    sa.Column("operator", sa.String(2), nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("for_ns", sa.BigInteger, nullable=False),
    sa.Column("clear", sa.Double),
    sa.Column("devices", sa.JSON(none_as_null=True)),
    sa.Column("profile", sa.String(256)),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("webhooks", sa.JSON, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("rule_id", sa.String(64), nullable=False),
    sa.Column("rule", sa.String(256), nullable=False),
    sa.Column("device", sa.String(256), nullable=False),
    sa.Column("metric", sa.String(256), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("threshold", sa.Double, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("fired_at", sa.BigInteger),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("reason", sa.String(32)),
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
    unique=True,  # whatever the code does: never two open alerts for one rule and device
    sqlite_where=is_open,
    postgresql_where=is_open,
)

mark = sa.Table(
    "mark",
    metadata,
    sa.Column("rule_id", sa.String(64), primary_key=True),
    sa.Column("device", sa.String(256), primary_key=True),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Index("mark_ts", "ts"),
)
"""The last evaluated reading of each rule and device."""

position = sa.Table(
    "position",
    metadata,
    sa.Column("stream", sa.String(64), primary_key=True),
    sa.Column("created", sa.String(64), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
"""Up to which message of a stream the other tables stand; `created` tells a stream from a later one of its name."""

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("outbox_url", "url", "seq"),
    sqlite_autoincrement=True,
)
"""Notifications that no receiver has taken yet."""
