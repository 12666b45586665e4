"""Engines on fresh databases; each test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.engine import create_engine
from tests.databases import Databases
from tests.scale import KINDS


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database with the newest schema."""
    made = create_engine(database_url)
    yield made
    await made.dispose()


@pytest_asyncio.fixture(params=KINDS)
async def empty_engine(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[AsyncEngine]:
    """A database without a schema."""
    made = create_engine(databases.empty(request.param))
    yield made
    await made.dispose()
