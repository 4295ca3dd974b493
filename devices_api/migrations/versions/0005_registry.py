"""Groups, tags that can be looked up, attributes and locations, deletion that can be undone; versions of profiles."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TAGS_OF = {
    "sqlite": "SELECT device.id, tag.key, tag.value FROM device, json_each(device.tags) AS tag",
    "postgresql": "SELECT device.id, tag.key, tag.value FROM device, json_each_text(device.tags) AS tag",
}


def upgrade() -> None:
    op.create_table(
        "group_",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("parent", sa.String(64), sa.ForeignKey("group_.id"), nullable=True, index=True),
        sa.Column("path", sa.String(1024), nullable=False, unique=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    )
    op.create_table(
        "member",
        sa.Column("device", sa.String(256), sa.ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("group_", sa.String(64), sa.ForeignKey("group_.id"), primary_key=True, index=True),
    )
    op.create_table(
        "tag",
        sa.Column("device", sa.String(256), sa.ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(256), nullable=False),
    )
    op.create_index("tag_value", "tag", ["key", "value", "device"])
    with op.batch_alter_table("device") as device:
        device.add_column(sa.Column("attributes", sa.JSON, nullable=False, server_default="{}"))
        device.add_column(sa.Column("latitude", sa.Float, nullable=True))
        device.add_column(sa.Column("longitude", sa.Float, nullable=True))
        device.add_column(sa.Column("deleted", sa.BigInteger, nullable=True))
        device.add_column(sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    with op.batch_alter_table("profile") as profile:
        profile.add_column(sa.Column("interval", sa.Float, nullable=False, server_default="0"))
        profile.add_column(sa.Column("alerts", sa.JSON, nullable=False, server_default="[]"))
        profile.add_column(sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.create_table(
        "profile_version",
        sa.Column("profile", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(256), nullable=False),
    )
    op.create_table(
        "activity",
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
    )
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="device"))
    op.execute(f"INSERT INTO tag (device, key, value) {_TAGS_OF[op.get_bind().dialect.name]}")


def downgrade() -> None:
    with op.batch_alter_table("outbox") as outbox:
        outbox.drop_column("kind")
    op.drop_table("activity")
    op.drop_table("profile_version")
    with op.batch_alter_table("profile") as profile:
        for name in ("version", "alerts", "interval"):
            profile.drop_column(name)
    with op.batch_alter_table("device") as device:
        for name in ("version", "deleted", "longitude", "latitude", "attributes"):
            device.drop_column(name)
    op.drop_index("tag_value", "tag")
    op.drop_table("tag")
    op.drop_table("member")
    op.drop_table("group_")
