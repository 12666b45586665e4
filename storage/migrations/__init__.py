"""Alembic's environment and the released schemas, in order. Applied by `storage.upgrade`."""
