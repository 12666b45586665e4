"""The bench, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.owners_calls import Estate, two_owners
from tests.conformance.bench import Bench, bench


@pytest_asyncio.fixture(name="bench")
async def running_bench(database_url: str) -> AsyncIterator[Bench]:
    """A running system; see `tests.conformance.bench.bench`."""
    async with bench(database_url) as made:
        yield made


@pytest_asyncio.fixture
async def estate(bench: Bench) -> Estate:
    """See `tests.api.owners_calls.two_owners`."""
    return await two_owners(bench)
