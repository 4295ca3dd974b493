"""Profiles, a device's own zone and calibration, what it says of itself, and why it came or went."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "profile",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("keep_raw", sa.Boolean, nullable=False),
        sa.Column("message_rate", sa.String(128), nullable=False),
        sa.Column("point_rate", sa.String(128), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
    )
    op.add_column("device", sa.Column("zone", sa.String(64), nullable=False, server_default=""))
    op.add_column("device", sa.Column("calibration", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("device", sa.Column("facts", sa.JSON, nullable=False, server_default="{}"))
    op.create_index("ix_device_profile", "device", ["profile"])
    op.add_column("presence", sa.Column("reason", sa.String(256), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("presence") as presence:
        presence.drop_column("reason")
    with op.batch_alter_table("device") as device:
        device.drop_index("ix_device_profile")
        for column in ("facts", "calibration", "zone"):
            device.drop_column(column)
    op.drop_table("profile")
