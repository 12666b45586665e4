"""Alembic environment: runs on the connection that `storage.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from storage.tables import load

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=load(), render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
