"""A scripted cloud on a free port, a house in memory, and the port between them."""

from collections.abc import AsyncIterator

import pytest

from bridge.payter import PayterTerminals
from bridge.payter_wire import PayterWire
from bridge.wires import Wires
from tests.unit.bridge.memory import MemoryHouse, now, terminal
from tests.unit.bridge.scripted_cloud import ScriptedCloud, options, running


@pytest.fixture
async def cloud() -> AsyncIterator[ScriptedCloud]:
    cloud = ScriptedCloud()
    async with running(cloud.app()) as base_url:
        cloud.base_url = base_url
        yield cloud


@pytest.fixture
async def wire(cloud: ScriptedCloud) -> AsyncIterator[PayterWire]:
    wire = PayterWire(options(cloud.base_url))
    yield wire
    await wire.close()


@pytest.fixture
async def wires(cloud: ScriptedCloud) -> AsyncIterator[Wires]:
    wires = Wires(options(cloud.base_url))
    yield wires
    await wires.close()


@pytest.fixture
def house() -> MemoryHouse:
    return MemoryHouse(terminal())


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def port(cloud: ScriptedCloud, wires: Wires, house: MemoryHouse, woken: list[str]) -> PayterTerminals:
    return PayterTerminals(options(cloud.base_url), wires, house, house, clock=now, wake=woken.append)
