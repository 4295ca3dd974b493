"""The position of the stream DERIVED."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("INSERT INTO position (stream, created, sequence) VALUES ('DERIVED', '', 0)")


def downgrade() -> None:
    op.execute("DELETE FROM position WHERE stream = 'DERIVED'")
