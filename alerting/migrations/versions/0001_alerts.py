"""Rules, alerts, marks, the stream's position, and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule",
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
    op.create_table(
        "alert",
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
    )
    is_open = sa.text("state IN ('pending', 'firing')")
    op.create_index(
        "alert_open", "alert", ["rule_id", "device"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("alert_state", "alert", ["state", "id"])
    op.create_index("alert_resolved", "alert", ["resolved_at"])
    op.create_index("alert_rule", "alert", ["rule_id", "id"])
    op.create_index("alert_device", "alert", ["device", "id"])
    op.create_table(
        "mark",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
    )
    op.create_index("mark_ts", "mark", ["ts"])
    op.create_table(
        "position",
        sa.Column("stream", sa.String(64), primary_key=True),
        sa.Column("created", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO position (stream, created, sequence) VALUES ('TELEMETRY', '', 0)")
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_url", "outbox", ["url", "seq"])


def downgrade() -> None:
    for table in ("outbox", "position", "mark", "alert", "rule"):
        op.drop_table(table)
