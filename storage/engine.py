"""The engine: SQLite in WAL mode (the embedded default) or PostgreSQL, by URL.

``sqlite:///path`` and ``postgresql://…`` are enough; the async drivers (aiosqlite, asyncpg) are filled in here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class DatabaseUrlError(ValueError):
    """The database URL names a database this system does not run on."""


def async_url(url: str) -> URL:
    """Return ``url`` with its async driver; `DatabaseUrlError` says what is wrong with it."""
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseUrlError(
            "The database URL cannot be read; write sqlite:///path or postgresql://user@host/name."
        ) from error
    backend = parsed.drivername.split("+")[0]
    if backend not in _DRIVERS:
        raise DatabaseUrlError(
            f"Database {backend!r} is not supported; use sqlite:///path or postgresql://user@host/name."
        )
    return parsed.set(drivername=_DRIVERS[backend])


def make_folder(url: str) -> None:
    """Make the folder that a SQLite file of ``url`` lies in; nothing for other databases. OSError if it cannot be."""
    parsed = async_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


def create_engine(url: str) -> AsyncEngine:
    """Return an engine for ``url``. SQLite: WAL, synchronous=FULL (an answered fact survives a power cut)."""
    parsed = async_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(parsed, pool_size=5, max_overflow=5, pool_pre_ping=True)
    engine = create_async_engine(parsed, connect_args={"timeout": 30, "isolation_level": None})
    event.listen(engine.sync_engine, "connect", _sqlite_connect)
    event.listen(engine.sync_engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    # A transaction that will write takes the write lock at once: upgrading a read lock later fails with "busy".
    immediate = connection.get_execution_options().get("tapvolt_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One database transaction that writes: committed at the end, rolled back on an exception."""
    async with engine.connect() as connection:
        await connection.execution_options(tapvolt_write=True)
        async with connection.begin():
            yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view for reading."""
    async with engine.connect() as connection, connection.begin():
        yield connection
