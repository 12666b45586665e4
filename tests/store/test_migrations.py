"""The migrations make the schema that the code speaks of, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.engine import DatabaseUrlError, async_url, create_engine, reading, writing
from storage.tables import load
from storage.upgrade import SchemaError, current, require_newest, upgrade
from tests.databases import Databases


async def test_an_upgraded_database_has_the_schema_of_the_code(engine: AsyncEngine) -> None:
    """No table, column, type, default, index or constraint differs from `storage.schema`."""

    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), load()))

    async with reading(engine) as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_is_idempotent_and_says_what_it_did(empty_engine: AsyncEngine) -> None:
    engine = empty_engine
    assert await current(engine) is None
    with pytest.raises(SchemaError, match="tapvolt db upgrade"):
        await require_newest(engine)
    before, newest = await upgrade(engine)
    assert before is None
    assert await upgrade(engine) == (newest, newest)
    assert await current(engine) == newest
    await require_newest(engine)


async def test_an_upgrade_that_fails_leaves_nothing_behind(empty_engine: AsyncEngine) -> None:
    engine = empty_engine
    async with writing(engine) as connection:
        await connection.execute(text("CREATE TABLE sessions (mine INTEGER)"))  # in the migration's way
    with pytest.raises(Exception, match="sessions"):
        await upgrade(engine)
    async with reading(engine) as connection:
        names = await connection.run_sync(lambda c: set(inspect(c).get_table_names()))
    assert names == {"sessions"}


def test_an_url_of_another_database_is_refused_with_a_sentence() -> None:
    for url in ("mysql://root@localhost/x", "not an url"):
        with pytest.raises(DatabaseUrlError, match="sqlite:///path or postgresql://"):
            async_url(url)


async def test_sqlite_writes_ahead_and_survives_a_power_cut(databases: Databases) -> None:
    engine = create_engine(databases.fresh("sqlite"))
    async with reading(engine) as connection:
        settings = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    await engine.dispose()
