"""Alembic environment: runs on the connection that `storage.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from storage import schema  # noqa: F401 - its tables fill the metadata
from storage.metadata import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
