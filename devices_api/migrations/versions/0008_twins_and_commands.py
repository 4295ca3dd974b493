"""Desired and reported state, and commands."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "twin",
        sa.Column("device", sa.String(256), sa.ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("desired", sa.JSON, nullable=False),
        sa.Column("reported", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reports", sa.Integer, nullable=False),
        sa.Column("applied", sa.Integer, nullable=True),
    )
    op.create_table(
        "twin_outbox",
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("change", sa.Integer, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False, index=True),
        sa.Column("lease", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "command",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("device", sa.String(256), sa.ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("awaited", sa.Boolean, nullable=False),
        sa.Column("timeout", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=True),
        sa.Column("lease", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON, nullable=True),
        sa.Column("error", sa.String(1024), nullable=True),
        sa.Column("who", sa.String(256), nullable=False),
    )
    op.create_index("command_device", "command", ["device", "id"])
    op.create_index("command_state", "command", ["state", "id"])
    op.create_index("command_due", "command", ["due"])
    op.create_table(
        "command_step",
        sa.Column("command", sa.String(32), sa.ForeignKey("command.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
    )


def downgrade() -> None:
    for table in ("command_step", "command", "twin_outbox", "twin"):
        op.drop_table(table)
