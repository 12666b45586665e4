"""OCPP 2.0.1, I. Tariff and cost."""

from __future__ import annotations

import pytest

from tests.conformance.bench import Bench
from tests.conformance.charge_201 import Charge
from tests.conformance.test_201_k_smart_charging import begin, update
from tests.wire.station import Station

COST_ENABLED = {"component": {"name": "TariffCostCtrlr"}, "variable": {"name": "Enabled", "instance": "Cost"}}


async def announces(bench: Bench, station: Station, value: str | None) -> None:
    """The station is asked whether it shows costs."""
    status = "UnknownVariable" if value is None else "Accepted"
    told = COST_ENABLED | {"attributeStatus": status} | ({} if value is None else {"attributeValue": value})
    await bench.exchange(station, "GetVariables", {"getVariableData": [COST_ENABLED]}, {"getVariableResult": [told]})


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_TC_I_01_running_cost(bench: Bench, version: str) -> None:
    """CostUpdated while it charges; 0.00 while it has cost nothing yet. Further samples are shown later, not each."""
    station = await bench.connect(version=version)
    await announces(bench, station, "true")
    await begin(bench, station)
    call = await bench.expect(station, "CostUpdated")
    assert call[3] == {"totalCost": 0.0, "transactionId": "tx-1"}
    await station.answer(call, {})
    answer = await update(bench, station, "Updated", 1, "ChargingStateChanged", chargingState="Charging")
    assert answer["totalCost"] == 0


@pytest.mark.parametrize("value", ["false", None])
async def test_a_station_that_does_not_show_costs_is_not_told(bench: Bench, value: str | None) -> None:
    station = await bench.connect()
    await announces(bench, station, value)
    await begin(bench, station)
    await update(bench, station, "Updated", 1, "ChargingStateChanged", chargingState="Charging")
    assert await station.calls_so_far() == []


async def test_a_station_that_refuses_is_not_told_again_until_it_says_so(bench: Bench) -> None:
    station = await bench.connect()
    await announces(bench, station, "true")
    await begin(bench, station)
    call = await bench.expect(station, "CostUpdated")
    await station.send(4, call[1], "NotImplemented", "", {})
    numbers = iter(range(2, 1000))

    async def told_of_another() -> int:
        """How many costs come of one more transaction; each is refused."""
        await begin(bench, station, f"tx-{next(numbers)}", evse_id=2)
        calls = await station.calls_so_far()
        for _ in calls:
            refused = await bench.expect(station, "CostUpdated")
            await station.send(4, refused[1], "NotImplemented", "", {})
        return len(calls)

    await bench.eventually(told_of_another, lambda told: told == 0)
    await told_of_another()
    await update(bench, station, "Updated", 1, "ChargingStateChanged", chargingState="Charging")
    assert await station.calls_so_far() == []


async def test_TC_I_02_final_cost(bench: Bench) -> None:
    """In the answer to the end; 0.00 is free, and said."""
    station = await bench.connect()
    free = Charge(bench, station)
    await free.started(1000)
    assert await free.tell("Ended", "EVDeparted", wh=1000) == {"totalCost": 0.0}
    await free.ends(cost_minor=0, cost_final=True)
    paid = Charge(bench, station, "tx-2")
    await paid.started(1000)
    assert await paid.tell("Ended", "EVDeparted", wh=1004) == {"totalCost": 0.04}
    await paid.ends(cost_minor=4, cost_final=True)
