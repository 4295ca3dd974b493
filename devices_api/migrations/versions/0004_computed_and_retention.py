"""What a profile computes, and how long each tier of its devices' readings is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("profile", sa.Column("computed", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("profile", sa.Column("retention", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("profile") as profile:
        profile.drop_column("retention")
        profile.drop_column("computed")
