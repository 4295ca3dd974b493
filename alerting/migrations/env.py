"""Alembic runs this; `alerting.database` hands over its connection and its transaction."""

from alembic import context

from alerting.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a table in place
)
context.run_migrations()
