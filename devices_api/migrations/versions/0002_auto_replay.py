"""Dead letters that are replayed by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auto_replay",
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("reason", sa.String(32), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=True, index=True),
        sa.Column("passes", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("auto_replay")
