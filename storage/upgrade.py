"""Bring a database to the newest schema, from any released one. Forward only."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.engine import reading, writing


class SchemaError(RuntimeError):
    """The database's schema is not the one this program needs; the text says what to do."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def _newest() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError("No migrations are installed; reinstall tapvolt.")
    return head


async def upgrade(engine: AsyncEngine) -> tuple[str | None, str]:
    """Upgrade to the newest schema, in one transaction. Return (revision before, revision after)."""

    def run(connection: Connection) -> tuple[str | None, str]:
        before = MigrationContext.configure(connection).get_current_revision()
        if before != _newest():
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return before, _newest()

    async with writing(engine) as connection:
        return await connection.run_sync(run)


async def current(engine: AsyncEngine) -> str | None:
    """Return the database's schema revision, None for an empty database."""

    def run(connection: Connection) -> Any:
        return MigrationContext.configure(connection).get_current_revision()

    async with reading(engine) as connection:
        revision: str | None = await connection.run_sync(run)
        return revision


async def require_newest(engine: AsyncEngine) -> None:
    """Raise `SchemaError` unless the schema is the newest."""
    found, needed = await current(engine), _newest()
    if found != needed:
        raise SchemaError(
            f"The database has schema {found or 'none'}, this program needs {needed}. Run `tapvolt db upgrade` first."
        )
