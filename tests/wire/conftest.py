"""A central system on a free port, for every wire test that needs no options of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.wire.station import Central, running


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    """It listens, nothing is connected, stations are put on file as they connect."""
    async with running() as central:
        yield central
