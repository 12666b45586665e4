"""The bench with its usual station, on the embedded database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conformance.bench import Bench, bench
from tests.databases import Databases


@pytest_asyncio.fixture(name="bench")
async def running_bench(databases: Databases) -> AsyncIterator[Bench]:
    """A running system; see `tests.conformance.bench.bench`."""
    async with bench(databases.fresh("sqlite")) as made:
        yield made
