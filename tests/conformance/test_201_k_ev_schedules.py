"""OCPP 2.0.1, K. Smart charging: what cars ask for over ISO 15118, and the schedules they choose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import PASSWORD, Bench, bench, stamp
from tests.conformance.test_201_k_smart_charging import ACCEPTED, begin, update
from tests.databases import Databases
from tests.wire.station import Station

#: 16 A at 230 V on three phases.
CAR_W = 11_040
NEEDS = {
    "requestedEnergyTransfer": "AC_three_phase",
    "departureTime": "2026-11-24T06:00:00.000Z",
    "acChargingParameters": {"energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230},
}


async def ask_for(bench: Bench, station: Station, needs: dict[str, Any] = NEEDS, **more: Any) -> Any:
    return await bench.ask(station, "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs} | more)


async def given(bench: Bench, station: Station) -> dict[str, Any]:
    """The profile that the system sends of itself; the station takes it, and it is kept."""
    call = await bench.expect(station, "SetChargingProfile")
    assert call[3]["evseId"] == 1
    await station.answer(call, ACCEPTED)
    profile: dict[str, Any] = call[3]["chargingProfile"]
    shown = lambda: bench.api("GET", "/stations/CS1/charging-profiles")  # noqa: E731
    await bench.eventually(shown, lambda seen: [p["profile"] for p in seen["items"]] == [profile])
    return profile


async def chooses(bench: Bench, station: Station, limit: float, **more: Any) -> Any:
    """The car's schedule, from now on; the answer."""
    periods = [{"startPeriod": 0, "limit": limit}, {"startPeriod": 1800, "limit": limit / 2}]
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": periods} | more
    payload = {"timeBase": stamp(), "evseId": 1, "chargingSchedule": schedule}
    return await bench.ask(station, "NotifyEVChargingSchedule", payload)


async def schedules(bench: Bench) -> list[tuple[int, str | None, bool]]:
    shown = (await bench.api("GET", "/stations/CS1/ev-charging-schedules"))["items"]
    return [(s["evse_id"], s["transaction_id"], s["within_limits"]) for s in shown]


async def test_TC_K_53_load_levelling(bench: Bench) -> None:
    station = await bench.connect()
    await begin(bench, station)
    assert await ask_for(bench, station, maxScheduleTuples=4) == ACCEPTED
    profile = await given(bench, station)
    assert (profile["chargingProfilePurpose"], profile["transactionId"]) == ("TxProfile", "tx-1")
    (schedule,) = profile["chargingSchedule"]
    assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"]) == (
        "W",
        [{"startPeriod": 0, "limit": CAR_W}],
    )
    (needs,) = (await bench.api("GET", "/stations/CS1/ev-charging-needs"))["items"]
    assert (needs["evse_id"], needs["transaction_id"], needs["max_periods"]) == (1, "tx-1", 4)
    assert (needs["departs_at"], needs["needs"]) == ("2026-11-24T06:00:00Z", NEEDS)
    assert await chooses(bench, station, CAR_W) == ACCEPTED
    assert await schedules(bench) == [(1, "tx-1", True)]
    assert await update(bench, station, "Updated", 1, "ChargingStateChanged", chargingState="Charging")
    assert await station.calls_so_far() == []


async def test_TC_K_55_the_cars_schedule_exceeds_the_limits(bench: Bench) -> None:
    """It is refused and the profile sent again; a car that never gives in is not asked for ever."""
    station = await bench.connect()
    await begin(bench, station)
    await ask_for(bench, station)
    profile = await given(bench, station)
    for _ in range(3):
        assert await chooses(bench, station, 22_000) == {"status": "Rejected"}
        assert await given(bench, station) == profile
    assert await chooses(bench, station, 22_000) == {"status": "Rejected"}
    assert await station.calls_so_far() == []
    assert await schedules(bench) == [(1, "tx-1", False)]
    assert await chooses(bench, station, 7_000) == ACCEPTED
    assert await schedules(bench) == [(1, "tx-1", True)]


async def test_TC_K_57_the_car_renegotiates(bench: Bench) -> None:
    """Its new needs replace the old ones, and so does the profile."""
    station = await bench.connect()
    await begin(bench, station)
    await ask_for(bench, station)
    first = await given(bench, station)
    less = NEEDS | {
        "acChargingParameters": {"energyAmount": 1, "evMinCurrent": 6, "evMaxCurrent": 10, "evMaxVoltage": 230}
    }
    assert await ask_for(bench, station, less) == ACCEPTED
    second = await given(bench, station)
    assert first["id"] == second["id"]
    assert second["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 6_900
    assert await chooses(bench, station, 6_900) == ACCEPTED


@pytest.mark.parametrize(
    "asks",
    [pytest.param(False, id="TC_K_58-by-the-system"), pytest.param(True, id="TC_K_59-and-the-car-asks-anew")],
)
async def test_renegotiation_by_the_system(bench: Bench, asks: bool) -> None:
    """An operator's profile is what the car's schedule is then held to."""
    station = await bench.connect()
    await begin(bench, station)
    await ask_for(bench, station)
    profile = await given(bench, station)
    lower = profile | {
        "chargingSchedule": [
            {
                "id": 1,
                "startSchedule": stamp(),
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 5_000.0}],
            }
        ]
    }
    await bench.exchange(station, "SetChargingProfile", {"evseId": 1, "chargingProfile": lower}, ACCEPTED)
    if asks:
        assert await ask_for(bench, station) == ACCEPTED
        assert (await given(bench, station))["id"] == profile["id"]
        assert await chooses(bench, station, CAR_W) == ACCEPTED
    else:
        assert await chooses(bench, station, CAR_W) == {"status": "Rejected"}
        assert await given(bench, station) == lower
        assert await chooses(bench, station, 5_000) == ACCEPTED


@pytest.mark.parametrize(("version", "status"), [("ocpp2.0.1", "Rejected"), ("ocpp2.1", "NoChargingProfile")])
async def test_needs_without_a_transaction(bench: Bench, version: str, status: str) -> None:
    """There is nothing a TxProfile could be for (K15.FR.04)."""
    station = await bench.connect(version=version)
    assert await ask_for(bench, station) == {"status": status}
    assert await station.calls_so_far() == []
    (needs,) = (await bench.api("GET", "/stations/CS1/ev-charging-needs"))["items"]
    assert needs["transaction_id"] is None
    assert await chooses(bench, station, 22_000) == ACCEPTED


@pytest.mark.parametrize(
    ("needs", "limit"),
    [
        ({"requestedEnergyTransfer": "DC", "dcChargingParameters": {"evMaxCurrent": 300, "evMaxVoltage": 400}}, 50_000),
        (
            {
                "requestedEnergyTransfer": "DC",
                "dcChargingParameters": {"evMaxCurrent": 300, "evMaxVoltage": 400, "evMaxPower": 30_000},
            },
            30_000,
        ),
        ({"requestedEnergyTransfer": "DC"}, 50_000),
    ],
)
async def test_no_more_than_both_can_do(databases: Databases, needs: dict[str, Any], limit: int) -> None:
    known = [{"station_id": "CS1", "password": PASSWORD, "evses": [{"evse_id": 1, "max_power_w": 50_000}]}]
    async with bench(databases.fresh("sqlite"), stations=known) as made:
        station = await made.connect()
        await begin(made, station)
        await ask_for(made, station, needs)
        profile = await given(made, station)
        assert profile["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": limit}]


async def test_needs_that_are_not_valid_are_refused(bench: Bench) -> None:
    station = await bench.connect()
    await begin(bench, station)
    answer = await station.ask("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": {"departureTime": stamp()}})
    assert (answer[0], answer[2]) == (4, "OccurrenceConstraintViolation")
    assert await station.calls_so_far() == []
