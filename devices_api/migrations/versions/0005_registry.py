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


_LISTED_BY = ("profile", "name", "created", "updated", "enabled")


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
    op.create_table(
        "searched",
        sa.Column("device", sa.String(256), sa.ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
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
    op.create_table(
        "activity_heard",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="device"))
    op.execute(f"INSERT INTO tag (device, key, value) {_TAGS_OF[op.get_bind().dialect.name]}")
    _write_what_is_searched()
    live = sa.text("deleted IS NULL")
    for name in _LISTED_BY:
        op.create_index(f"device_{name}", "device", [name, "id"], sqlite_where=live, postgresql_where=live)
    gone = sa.text("deleted IS NOT NULL")
    op.create_index("device_deleted", "device", ["id", "deleted"], sqlite_where=gone, postgresql_where=gone)
    op.create_index("presence_online", "presence", ["online", "device"])
    _keep_first_versions()
    # Profiles have records of their own from now on, and devices' records no longer hold them.
    op.execute("INSERT INTO outbox (device, kind) SELECT id, 'profile' FROM profile ORDER BY id")
    op.execute("INSERT INTO outbox (device, kind) SELECT id, 'device' FROM device ORDER BY id")


def _keep_first_versions() -> None:
    """Keep what each profile is now as its first version."""
    names = ("metrics", "computed", "retention")
    plain = ("zone", "keep_raw", "message_rate", "point_rate")
    columns = [sa.column(name, sa.JSON) for name in names] + [sa.column(name) for name in (*plain, "id", "updated")]
    bind = op.get_bind()
    version = sa.table(
        "profile_version",
        *(sa.column(name) for name in ("profile", "version", "at", "by")),
        sa.column("content", sa.JSON),
    )
    for row in bind.execute(sa.select(*columns).select_from(sa.table("profile"))).mappings().all():
        content = {name: row[name] for name in (*names, *plain)} | {"keep_raw": bool(row["keep_raw"])}
        kept = {"profile": row["id"], "version": 1, "at": row["updated"], "by": "", "content": content}
        bind.execute(version.insert().values(kept))


def _write_what_is_searched() -> None:
    # Not in SQL: SQLite knows the case of ASCII letters alone.
    device = sa.table("device", sa.column("id"), sa.column("name"), sa.column("tags", sa.JSON))
    searched = sa.table("searched", sa.column("device"), sa.column("text"))
    after = ""
    while True:
        query = sa.select(device).where(device.c.id > after).order_by(device.c.id).limit(1000)
        rows = op.get_bind().execute(query).all()
        if not rows:
            return
        texts = ["\n".join([row.id, row.name, *(f"{k}={v}" for k, v in row.tags.items())]).casefold() for row in rows]
        made = [{"device": row.id, "text": text} for row, text in zip(rows, texts, strict=True)]
        op.get_bind().execute(sa.insert(searched), made)
        after = rows[-1].id


def downgrade() -> None:
    op.execute("DELETE FROM outbox WHERE kind <> 'device'")
    op.execute("UPDATE device SET enabled = FALSE WHERE deleted IS NOT NULL")
    op.execute("INSERT INTO outbox (device) SELECT id FROM device ORDER BY id")
    op.drop_index("presence_online", "presence")
    op.drop_index("device_deleted", "device")
    for name in _LISTED_BY:
        op.drop_index(f"device_{name}", "device")
    with op.batch_alter_table("outbox") as outbox:
        outbox.drop_column("kind")
    op.drop_table("activity_heard")
    op.drop_table("activity")
    op.drop_table("profile_version")
    with op.batch_alter_table("profile") as profile:
        for name in ("version", "alerts", "interval"):
            profile.drop_column(name)
    with op.batch_alter_table("device") as device:
        for name in ("version", "deleted", "longitude", "latitude", "attributes"):
            device.drop_column(name)
    op.drop_table("searched")
    op.drop_index("tag_value", "tag")
    op.drop_table("tag")
    op.drop_table("member")
    op.drop_table("group_")
