"""The tables of notifications: who is told, when, and what came of it. Times in ns since 1970 UTC."""

import sqlalchemy as sa

from alerting.tables import SEQ, metadata

__all__ = ["alert_delivery", "attempt", "delivery", "document", "metadata", "notification_group"]

document = sa.Table(
    "document",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("secrets", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
"""What operators write beside rules: receivers, routing, silences, calendars, chains. `secrets` are never read out."""

notification_group = sa.Table(
    "notification_group",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("due_at", sa.BigInteger),
    sa.Index("notification_group_due", "due_at"),
)
"""Alerts that are told together, by a hash of route and labels: what was last told of each, and when to tell more."""

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("seq", SEQ, nullable=False),
    sa.Column("receiver", sa.String(64), nullable=False),
    sa.Column("group_key", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("delivery_waiting", "state", "receiver", "group_key", "seq"),
    sa.Index("delivery_seq", "seq"),
    sa.Index("delivery_ended", "ended_at"),
)
"""One notification to one receiver; `content` is the same in every try.

`state`: waiting, rejected (tried on, but nothing waits for it), delivered, or given_up. Of one group, the one with the
least `seq` is tried until it is taken; `next_at` is when, null for at once."""

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("seq", SEQ, primary_key=True, autoincrement=True),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("result", sa.String(16), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Column("problem", sa.String(1024), nullable=False),
    sa.Index("attempt_delivery", "delivery_id", "seq"),
    sqlite_autoincrement=True,
)
"""Each try to deliver, and what came of it."""

alert_delivery = sa.Table(
    "alert_delivery",
    metadata,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Index("alert_delivery_delivery", "delivery_id"),
)
"""Which notifications spoke of an alert."""
