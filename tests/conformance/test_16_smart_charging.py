"""OCPP 1.6: smart charging. What is kept of it is in 2.0.1's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

ACCEPTED = {"status": "Accepted"}
PERIODS = [{"startPeriod": 0, "limit": 16.1, "numberPhases": 3}, {"startPeriod": 600, "limit": 6}]
SCHEDULE = {"chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS, "duration": 3600}


def profile(profile_id: int = 1, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": SCHEDULE,
    } | more


async def install(bench: Bench, station: Station, connector_id: int, installed: dict[str, Any], status: str) -> Any:
    request = {"connectorId": connector_id, "csChargingProfiles": installed}
    return await bench.exchange(station, "SetChargingProfile", request, {"status": status})


async def shown(bench: Bench) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await bench.api("GET", "/stations/CS1/charging-profiles"))["items"]
    return items


async def start(bench: Bench, station: Station, connector_id: int = 1) -> int:
    payload = {"connectorId": connector_id, "idTag": "GOOD", "meterStart": 0, "timestamp": stamp()}
    return int((await bench.ask(station, "StartTransaction", payload))["transactionId"])


async def stop(bench: Bench, station: Station, transaction_id: int) -> None:
    payload = {"transactionId": transaction_id, "meterStop": 10, "timestamp": stamp()}
    assert await bench.ask(station, "StopTransaction", payload) == {}


async def test_TC_056_tx_default_profile(bench: Bench) -> None:
    """Another one of the same purpose and stack level takes its place (§5.16)."""
    station = await bench.connect(version="ocpp1.6")
    assert (await install(bench, station, 1, profile(1), "Accepted"))["state"] == "accepted"
    (kept,) = await shown(bench)
    assert (kept["evse_id"], kept["profile_id"], kept["purpose"]) == (1, 1, "TxDefaultProfile")
    assert kept["profile"] == {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1} | SCHEDULE],
    }
    await install(bench, station, 1, profile(2), "Accepted")
    await install(bench, station, 1, profile(3, stackLevel=1), "Accepted")
    await install(bench, station, 2, profile(4), "NotSupported")
    assert [p["profile_id"] for p in await shown(bench)] == [2, 3]


async def test_TC_057_tx_profile(bench: Bench) -> None:
    """Through the engineer's door and the plain way; it ends with its transaction."""
    station = await bench.connect(version="ocpp1.6")
    transaction_id = await start(bench, station)
    await install(bench, station, 1, profile(1, "TxProfile", transactionId=transaction_id), "Accepted")
    wanted = {
        "evse_id": 1,
        "stack_level": 1,
        "purpose": "TxProfile",
        "kind": "Relative",
        "rate_unit": "A",
        "periods": [{"start_s": 0, "limit": 16.1}],
    }
    periods = [{"startPeriod": 0, "limit": 16.1}]
    sent = profile(2, "TxProfile", stackLevel=1, transactionId=transaction_id) | {
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    }
    await bench.arrange(
        station,
        "PUT",
        "/stations/CS1/charging-profiles/2",
        wanted,
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": sent},
        ACCEPTED,
    )
    assert [(p["profile_id"], p["transaction_id"]) for p in await shown(bench)] == [
        (1, str(transaction_id)),
        (2, str(transaction_id)),
    ]
    await stop(bench, station, transaction_id)
    assert await shown(bench) == []


@pytest.mark.parametrize("change", [{"periods": [{"start_s": 0, "limit": 16.05}]}, {"phase_to_use": 1}])
async def test_what_1_6_has_no_word_for_is_not_sent(bench: Bench, change: dict[str, Any]) -> None:
    station = await bench.connect(version="ocpp1.6")
    wanted = {
        "evse_id": 1,
        "stack_level": 1,
        "purpose": "TxDefaultProfile",
        "kind": "Relative",
        "rate_unit": "A",
        "periods": [{"start_s": 0, "limit": 16, "phases": 1} | change],
    }
    wanted |= change if "periods" in change else {}
    await bench.api("PUT", "/stations/CS1/charging-profiles/2", wanted, status=422)
    assert await station.calls_so_far() == []


async def test_TC_059_remote_start_with_a_profile(bench: Bench) -> None:
    """It has no transaction yet (§5.11); it gets the one that begins, and ends with it."""
    station = await bench.connect(version="ocpp1.6")
    request = {"connectorId": 1, "idTag": "GOOD", "chargingProfile": profile(5, "TxProfile")}
    await bench.exchange(station, "RemoteStartTransaction", request, ACCEPTED)
    assert [(p["profile_id"], p["transaction_id"]) for p in await shown(bench)] == [(5, None)]
    transaction_id = await start(bench, station)
    assert [(p["profile_id"], p["transaction_id"]) for p in await shown(bench)] == [(5, str(transaction_id))]
    await stop(bench, station, transaction_id)
    assert await shown(bench) == []


async def test_the_start_may_overtake_the_answer(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    request = {"connectorId": 1, "idTag": "GOOD", "chargingProfile": profile(5, "TxProfile")}
    sending = asyncio.create_task(bench.send("CS1", "RemoteStartTransaction", request))
    call = await bench.expect(station, "RemoteStartTransaction")
    transaction_id = await start(bench, station)
    await station.answer(call, ACCEPTED)
    assert (await sending)["state"] == "accepted"
    assert [(p["profile_id"], p["transaction_id"]) for p in await shown(bench)] == [(5, str(transaction_id))]


async def test_TC_066_get_composite_schedule(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    told = {"connectorId": 1, "scheduleStart": "2026-11-23T12:00:00Z", "chargingSchedule": SCHEDULE}
    command = await bench.arrange(
        station,
        "POST",
        "/stations/CS1/composite-schedule",
        {"evse_id": 1, "duration_s": 300},
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 300},
        ACCEPTED | told,
    )
    assert command["state"] == "accepted"
    (kept,) = (await bench.api("GET", "/stations/CS1/composite-schedules"))["items"]
    assert (kept["evse_id"], kept["rate_unit"], kept["duration_s"]) == (1, "A", 3600)
    assert (kept["starts_at"], kept["periods"]) == ("2026-11-23T12:00:00Z", PERIODS)


@pytest.mark.parametrize(
    ("path", "sent", "left"),
    [
        ("/2", {"id": 2}, [1, 3]),
        ("?evse_id=1", {"connectorId": 1}, [1]),
        ("?purpose=ChargingStationMaxProfile", {"chargingProfilePurpose": "ChargePointMaxProfile"}, [2, 3]),
        ("?evse_id=1&purpose=TxDefaultProfile&stack_level=1", None, [1, 2]),
    ],
)
async def test_TC_067_clear_charging_profile(bench: Bench, path: str, sent: Any, left: list[int]) -> None:
    station = await bench.connect(version="ocpp1.6")
    absolute = {"chargingProfileKind": "Absolute"}
    await install(bench, station, 0, profile(1, "ChargePointMaxProfile", **absolute), "Accepted")
    await install(bench, station, 1, profile(2), "Accepted")
    await install(bench, station, 1, profile(3, stackLevel=1), "Accepted")
    sent = sent or {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
    await bench.arrange(
        station, "DELETE", f"/stations/CS1/charging-profiles{path}", None, "ClearChargingProfile", sent, ACCEPTED
    )
    assert [p["profile_id"] for p in await shown(bench)] == left


async def test_clearing_everything(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    await install(bench, station, 1, profile(2), "Accepted")
    command = await bench.exchange(station, "ClearChargingProfile", {}, {"status": "Unknown"})
    assert command["state"] == "refused"
    assert await shown(bench) == []
