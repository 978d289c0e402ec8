"""What Alembic runs: the steps, in one transaction on the connection that database.py opened."""

from __future__ import annotations

from alembic import context

from vittne.appliance.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    transactional_ddl=True,  # true for SQLite too, since we begin the transaction ourselves
)
with context.begin_transaction():
    context.run_migrations()
