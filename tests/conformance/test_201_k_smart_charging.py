"""OCPP 2.0.1, K. Smart charging: profiles, composite schedules and limits from outside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

ACCEPTED = {"status": "Accepted"}
TOKEN = {"idToken": "GOOD", "type": "ISO14443"}
PERIODS = [{"startPeriod": 0, "limit": 11000.0}, {"startPeriod": 3600, "limit": 6000.0}]


def schedule(**more: Any) -> dict[str, Any]:
    return {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": PERIODS} | more


def profile(profile_id: int = 1, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    return {
        "id": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "validFrom": "2026-11-23T00:00:00.000Z",
        "validTo": "2036-11-23T00:00:00.000Z",
        "chargingSchedule": [schedule(startSchedule="2026-11-23T00:00:00.000Z")],
    } | more


async def install(
    bench: Bench, station: Station, evse_id: int, installed: dict[str, Any], answer: dict[str, Any] | None = None
) -> Any:
    request = {"evseId": evse_id, "chargingProfile": installed}
    return await bench.exchange(station, "SetChargingProfile", request, answer or ACCEPTED)


async def kept(bench: Bench, **filters: Any) -> list[tuple[int, int]]:
    """(EVSE, profile) of what the API shows."""
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    shown = await bench.api("GET", f"/stations/CS1/charging-profiles?{query}")
    return [(p["evse_id"], p["profile_id"]) for p in shown["items"]]


async def begin(bench: Bench, station: Station, transaction_id: str = "tx-1", evse_id: int = 1, **info: Any) -> None:
    answer = await bench.ask(
        station,
        "TransactionEvent",
        {
            "eventType": "Started",
            "timestamp": stamp(),
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": transaction_id} | info,
            "idToken": TOKEN,
            "evse": {"id": evse_id, "connectorId": 1},
        },
    )
    assert answer["idTokenInfo"]["status"] == "Accepted"


async def update(bench: Bench, station: Station, kind: str, seq_no: int, trigger: str, **info: Any) -> Any:
    return await bench.ask(
        station,
        "TransactionEvent",
        {
            "eventType": kind,
            "timestamp": stamp(),
            "triggerReason": trigger,
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": "tx-1"} | info,
        },
    )


# --- SetChargingProfile -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evse_id", "purpose"),
    [
        pytest.param(1, "TxDefaultProfile", id="TC_K_01-default-for-one-EVSE"),
        pytest.param(0, "ChargingStationMaxProfile", id="TC_K_03-maximum-of-the-station"),
        pytest.param(0, "TxDefaultProfile", id="TC_K_10-default-for-all-EVSEs"),
    ],
)
async def test_set_charging_profile(bench: Bench, evse_id: int, purpose: str) -> None:
    station = await bench.connect()
    command = await install(bench, station, evse_id, profile(7, purpose))
    assert command["state"] == "accepted"
    (shown,) = (await bench.api("GET", "/stations/CS1/charging-profiles"))["items"]
    assert (shown["evse_id"], shown["profile_id"], shown["purpose"], shown["source"]) == (evse_id, 7, purpose, "CSO")
    assert shown["profile"] == profile(7, purpose)
    assert (shown["valid_to"], shown["reported"]) == ("2036-11-23T00:00:00Z", False)


async def test_TC_K_02_tx_profile_without_a_transaction(bench: Bench) -> None:
    """The station refuses it, and nothing is kept; asked for the plain way, it is not even sent."""
    station = await bench.connect()
    refused = {"status": "Rejected", "statusInfo": {"reasonCode": "TxNotFound"}}
    command = await install(bench, station, 1, profile(1, "TxProfile", transactionId="none"), refused)
    assert (command["state"], command["response"]) == ("refused", refused)
    assert await kept(bench) == []
    wanted = {
        "evse_id": 1,
        "stack_level": 0,
        "purpose": "TxProfile",
        "kind": "Relative",
        "rate_unit": "W",
        "periods": [{"start_s": 0, "limit": 11000}],
    }
    problem = await bench.api("PUT", "/stations/CS1/charging-profiles/1", wanted, status=409)
    assert "No transaction runs" in problem["detail"]


async def test_TC_K_60_tx_profile_with_a_transaction(bench: Bench) -> None:
    """It is kept until the transaction ends."""
    station = await bench.connect()
    await begin(bench, station)
    await install(bench, station, 2, profile(9))
    command = await install(bench, station, 1, profile(1, "TxProfile", transactionId="tx-1"))
    assert command["state"] == "accepted"
    await update(bench, station, "Updated", 1, "ChargingRateChanged", chargingState="Charging")
    assert await kept(bench, transaction_id="tx-1") == [(1, 1)]
    await update(bench, station, "Ended", 2, "EVDeparted", stoppedReason="EVDisconnected")
    assert await kept(bench) == [(2, 9)]


async def test_a_new_transaction_ends_the_profiles_of_one_whose_end_was_lost(bench: Bench) -> None:
    station = await bench.connect()
    await begin(bench, station)
    await install(bench, station, 1, profile(1, "TxProfile", transactionId="tx-1"))
    await begin(bench, station, "tx-2")
    assert await kept(bench) == []


async def test_TC_K_04_replace_by_id(bench: Bench) -> None:
    """Also when the profile of that id is now for another EVSE."""
    station = await bench.connect()
    await install(bench, station, 1, profile(3, stackLevel=0))
    await install(bench, station, 1, profile(3, stackLevel=1))
    (shown,) = (await bench.api("GET", "/stations/CS1/charging-profiles"))["items"]
    assert (shown["stack_level"], shown["profile"]["stackLevel"]) == (1, 1)
    await install(bench, station, 2, profile(3))
    assert await kept(bench) == [(2, 3)]


@pytest.mark.parametrize("status", ["Rejected", "error"])
async def test_TC_K_15_not_supported(bench: Bench, status: str) -> None:
    station = await bench.connect()
    request = {"evseId": 1, "chargingProfile": profile()}
    if status == "Rejected":
        command = await install(bench, station, 1, profile(), {"status": "Rejected"})
    else:
        command = await bench.refuse(station, "SetChargingProfile", request, "NotSupported")
        assert command["error_code"] == "NotSupported"
    assert command["state"] == "refused"
    assert await kept(bench) == []


async def test_TC_K_19_recurring(bench: Bench) -> None:
    """Through the engineer's door, and the plain way."""
    station = await bench.connect()
    daily = profile(1, chargingProfileKind="Recurring", recurrencyKind="Daily")
    assert (await install(bench, station, 1, daily))["state"] == "accepted"
    wanted = {
        "evse_id": 0,
        "stack_level": 2,
        "purpose": "TxDefaultProfile",
        "kind": "Recurring",
        "recurrency": "Weekly",
        "starts_at": "2026-11-23T00:00:00Z",
        "duration_s": 86400,
        "rate_unit": "A",
        "min_rate": 6,
        "periods": [{"start_s": 0, "limit": 16, "phases": 3}, {"start_s": 3600, "limit": 8.5, "phases": 1}],
    }
    sent = {
        "evseId": 0,
        "chargingProfile": {
            "id": 2,
            "stackLevel": 2,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Recurring",
            "recurrencyKind": "Weekly",
            "chargingSchedule": [
                {
                    "id": 1,
                    "startSchedule": "2026-11-23T00:00:00.000Z",
                    "duration": 86400,
                    "chargingRateUnit": "A",
                    "minChargingRate": 6.0,
                    "chargingSchedulePeriod": [
                        {"startPeriod": 0, "limit": 16.0, "numberPhases": 3},
                        {"startPeriod": 3600, "limit": 8.5, "numberPhases": 1},
                    ],
                }
            ],
        },
    }
    command = await bench.arrange(
        station, "PUT", "/stations/CS1/charging-profiles/2", wanted, "SetChargingProfile", sent, ACCEPTED
    )
    assert command["state"] == "accepted"
    assert await kept(bench) == [(0, 2), (1, 1)]


async def test_TC_K_70_multiple_profiles(bench: Bench) -> None:
    station = await bench.connect()
    await begin(bench, station)
    for evse_id, given in (
        (0, profile(1, "ChargingStationMaxProfile")),
        (1, profile(2, "TxDefaultProfile")),
        (1, profile(3, "TxDefaultProfile", stackLevel=1)),
        (1, profile(4, "TxProfile", transactionId="tx-1")),
    ):
        assert (await install(bench, station, evse_id, given))["state"] == "accepted"
    assert await kept(bench) == [(0, 1), (1, 2), (1, 3), (1, 4)]
    assert await kept(bench, evse_id=1, purpose="TxDefaultProfile") == [(1, 2), (1, 3)]


async def test_TC_K_37_remote_start_with_a_profile(bench: Bench) -> None:
    """It waits for its transaction, and ends with it."""
    station = await bench.connect()
    request = {
        "idToken": TOKEN,
        "remoteStartId": 77,
        "evseId": 1,
        "chargingProfile": profile(5, "TxProfile", chargingProfileKind="Relative", chargingSchedule=[schedule()]),
    }
    assert (await bench.exchange(station, "RequestStartTransaction", request, ACCEPTED))["state"] == "accepted"
    (shown,) = (await bench.api("GET", "/stations/CS1/charging-profiles"))["items"]
    assert (shown["evse_id"], shown["profile_id"], shown["transaction_id"]) == (1, 5, None)
    await begin(bench, station, remoteStartId=77)
    assert await kept(bench, transaction_id="tx-1") == [(1, 5)]
    await update(bench, station, "Ended", 1, "EVDeparted")
    assert await kept(bench) == []


async def test_a_refused_remote_start_installs_nothing(bench: Bench) -> None:
    station = await bench.connect()
    request = {"idToken": TOKEN, "remoteStartId": 77, "evseId": 1, "chargingProfile": profile(5, "TxProfile")}
    await bench.exchange(station, "RequestStartTransaction", request, {"status": "Rejected"})
    assert await kept(bench) == []


# --- ClearChargingProfile ---------------------------------------------------------------------------------------------


async def test_TC_K_05_clear_by_id(bench: Bench) -> None:
    station = await bench.connect()
    await install(bench, station, 1, profile(1))
    await install(bench, station, 2, profile(2))
    command = await bench.arrange(
        station,
        "DELETE",
        "/stations/CS1/charging-profiles/1",
        None,
        "ClearChargingProfile",
        {"chargingProfileId": 1},
        ACCEPTED,
    )
    assert command["state"] == "accepted"
    assert await kept(bench) == [(2, 2)]


async def test_TC_K_06_clear_by_stack_level_and_purpose(bench: Bench) -> None:
    station = await bench.connect()
    await install(bench, station, 1, profile(1, stackLevel=1))
    await install(bench, station, 1, profile(2, stackLevel=2))
    await install(bench, station, 0, profile(3, "ChargingStationMaxProfile", stackLevel=1))
    criteria = {"evseId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
    await bench.arrange(
        station,
        "DELETE",
        "/stations/CS1/charging-profiles?evse_id=1&purpose=TxDefaultProfile&stack_level=1",
        None,
        "ClearChargingProfile",
        {"chargingProfileCriteria": criteria},
        ACCEPTED,
    )
    assert await kept(bench) == [(0, 3), (1, 2)]
    problem = await bench.api("DELETE", "/stations/CS1/charging-profiles", status=422)
    assert "Say which" in problem["detail"]


async def test_TC_K_08_clear_without_a_profile(bench: Bench) -> None:
    """What the station does not know is forgotten here too."""
    station = await bench.connect()
    await install(bench, station, 1, profile(1))
    command = await bench.exchange(station, "ClearChargingProfile", {"chargingProfileId": 1}, {"status": "Unknown"})
    assert (command["state"], command["response"]) == ("refused", {"status": "Unknown"})
    assert await kept(bench) == []


# --- GetChargingProfiles ----------------------------------------------------------------------------------------------


async def report(
    bench: Bench, station: Station, evse_id: int, *profiles: dict[str, Any], tbc: bool = False, source: str = "CSO"
) -> None:
    payload = {"requestId": 5, "chargingLimitSource": source, "evseId": evse_id, "chargingProfile": list(profiles)}
    assert await bench.ask(station, "ReportChargingProfiles", payload | ({"tbc": True} if tbc else {})) == {}


#: Installed before each question, as (EVSE, profile): what it leaves out of its answer is gone, if it was asked for.
BEFORE = [(0, 1), (1, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize(
    ("evse_id", "which", "left"),
    [
        pytest.param(0, {"chargingLimitSource": ["CSO"]}, [(1, 2), (1, 3), (2, 4)], id="TC_K_29-EVSE-0"),
        pytest.param(1, {"chargingLimitSource": ["CSO"]}, [(0, 1), (2, 4)], id="TC_K_30-one-EVSE"),
        pytest.param(None, {"chargingLimitSource": ["CSO"]}, [], id="TC_K_31-no-EVSE"),
        pytest.param(None, {"chargingProfileId": [2, 4]}, [(0, 1), (1, 3)], id="TC_K_32-by-id"),
        pytest.param(1, {"stackLevel": 1}, [(0, 1), (1, 2), (2, 4)], id="TC_K_33-stack-level"),
        pytest.param(1, {"chargingLimitSource": ["EMS"]}, BEFORE, id="TC_K_34-source"),
        pytest.param(1, {"chargingProfilePurpose": "TxDefaultProfile"}, [(0, 1), (2, 4)], id="TC_K_35-purpose"),
        pytest.param(
            1,
            {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0},
            [(0, 1), (1, 3), (2, 4)],
            id="TC_K_36-purpose-and-stack-level",
        ),
    ],
)
async def test_get_charging_profiles(
    bench: Bench, evse_id: int | None, which: dict[str, Any], left: list[tuple[int, int]]
) -> None:
    """The station tells of two profiles that nobody here knew; what was asked for and not told is gone."""
    station = await bench.connect()
    await install(bench, station, 0, profile(1, "ChargingStationMaxProfile"))
    await install(bench, station, 1, profile(2))
    await install(bench, station, 1, profile(3, stackLevel=1))
    await install(bench, station, 2, profile(4))
    request = {"requestId": 5, "chargingProfile": which} | ({} if evse_id is None else {"evseId": evse_id})
    assert (await bench.exchange(station, "GetChargingProfiles", request, ACCEPTED))["state"] == "accepted"
    await report(bench, station, 3, profile(51), tbc=True)
    assert await kept(bench) == [*BEFORE, (3, 51)]
    await report(bench, station, 3, profile(52))
    assert await kept(bench) == [*left, (3, 51), (3, 52)]


async def test_what_is_reported_again_is_known_by_the_station_itself(bench: Bench) -> None:
    station = await bench.connect()
    await install(bench, station, 1, profile(2))
    await bench.exchange(station, "GetChargingProfiles", {"requestId": 5, "chargingProfile": {}}, ACCEPTED)
    await report(bench, station, 1, profile(2))
    (shown,) = (await bench.api("GET", "/stations/CS1/charging-profiles"))["items"]
    assert (shown["profile_id"], shown["reported"]) == (2, True)


async def test_a_station_without_profiles(bench: Bench) -> None:
    station = await bench.connect()
    await install(bench, station, 1, profile(2))
    await install(bench, station, 2, profile(4))
    request = {"requestId": 5, "evseId": 1, "chargingProfile": {"stackLevel": 0}}
    command = await bench.exchange(station, "GetChargingProfiles", request, {"status": "NoProfiles"})
    assert command["response"] == {"status": "NoProfiles"}
    assert await kept(bench) == [(2, 4)]


async def test_reports_that_are_not_valid_or_not_asked_for(bench: Bench) -> None:
    """The first breaks the schema and is refused; the second tells of an unknown question, and is believed."""
    station = await bench.connect()
    await install(bench, station, 1, profile(2))
    broken = {"requestId": 5, "chargingLimitSource": "Moon", "evseId": 1, "chargingProfile": [profile(8)]}
    answer = await station.ask("ReportChargingProfiles", broken)
    assert (answer[0], answer[2]) == (4, "PropertyConstraintViolation")
    await report(bench, station, 1, profile(9))
    assert await kept(bench) == [(1, 2), (1, 9)]


# --- GetCompositeSchedule ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evse_id", [pytest.param(1, id="TC_K_43-one-EVSE"), pytest.param(0, id="TC_K_44-the-station")])
async def test_get_composite_schedule(bench: Bench, evse_id: int) -> None:
    station = await bench.connect()
    told = {
        "chargingSchedulePeriod": PERIODS,
        "evseId": evse_id,
        "duration": 300,
        "scheduleStart": "2026-11-23T12:00:00.000Z",
        "chargingRateUnit": "W",
    }
    command = await bench.arrange(
        station,
        "POST",
        "/stations/CS1/composite-schedule",
        {"evse_id": evse_id, "duration_s": 300, "rate_unit": "W"},
        "GetCompositeSchedule",
        {"evseId": evse_id, "duration": 300, "chargingRateUnit": "W"},
        ACCEPTED | {"schedule": told},
    )
    assert command["state"] == "accepted"
    (shown,) = (await bench.api("GET", "/stations/CS1/composite-schedules"))["items"]
    assert (shown["evse_id"], shown["duration_s"], shown["rate_unit"]) == (evse_id, 300, "W")
    assert (shown["starts_at"], shown["periods"]) == ("2026-11-23T12:00:00Z", PERIODS)
    await bench.exchange(station, "GetCompositeSchedule", {"evseId": evse_id, "duration": 60}, {"status": "Rejected"})
    assert (await bench.api("GET", "/stations/CS1/composite-schedules"))["items"] == [shown]


# --- limits from outside ----------------------------------------------------------------------------------------------


async def limits(bench: Bench) -> list[tuple[int, str, bool | None]]:
    shown = (await bench.api("GET", "/stations/CS1/charging-limits"))["items"]
    return [(limit["evse_id"], limit["source"], limit["grid_critical"]) for limit in shown]


async def test_TC_K_48_external_limit(bench: Bench) -> None:
    """Not on a transaction: of the station, then of one EVSE; what comes anew replaces what was."""
    station = await bench.connect()
    limit = {"chargingLimitSource": "EMS", "isGridCritical": False}
    payload = {"chargingLimit": limit, "chargingSchedule": [schedule(duration=600)]}
    assert await bench.ask(station, "NotifyChargingLimit", payload) == {}
    (shown,) = (await bench.api("GET", "/stations/CS1/charging-limits"))["items"]
    assert (shown["evse_id"], shown["schedules"]) == (0, [schedule(duration=600)])
    await bench.ask(station, "NotifyChargingLimit", {"chargingLimit": limit | {"isGridCritical": True}})
    await bench.ask(station, "NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 1})
    assert await limits(bench) == [(0, "EMS", True), (1, "SO", None)]
    wrong = {"chargingLimit": {"chargingLimitSource": 5}}
    assert (await station.ask("NotifyChargingLimit", wrong))[2] == "TypeConstraintViolation"
    assert await limits(bench) == [(0, "EMS", True), (1, "SO", None)]


@pytest.mark.parametrize(
    "running",
    [
        pytest.param(False, id="TC_K_50-without-a-transaction"),
        pytest.param(True, id="TC_K_51-with-a-transaction"),
    ],
)
async def test_external_limit_released(bench: Bench, running: bool) -> None:
    station = await bench.connect()
    if running:
        await begin(bench, station)
    for evse_id in (1, 2):
        payload = {"chargingLimit": {"chargingLimitSource": "EMS"}, "evseId": evse_id}
        await bench.ask(station, "NotifyChargingLimit", payload)
    await bench.ask(station, "NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 1})
    assert await bench.ask(station, "ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1}) == {}
    assert await limits(bench) == [(1, "SO", None), (2, "EMS", None)]
    if running:
        assert "totalCost" in await update(
            bench, station, "Updated", 1, "ChargingRateChanged", chargingState="Charging"
        )
    assert await bench.ask(station, "ClearedChargingLimit", {"chargingLimitSource": "EMS"}) == {}
    assert await limits(bench) == [(1, "SO", None)]


async def test_TC_K_52_external_constraints_in_a_report(bench: Bench) -> None:
    """They are not ours to clear (K10.FR.06)."""
    station = await bench.connect()
    await install(bench, station, 1, profile(1))
    request = {"requestId": 5, "chargingProfile": {"chargingProfilePurpose": "ChargingStationExternalConstraints"}}
    await bench.exchange(station, "GetChargingProfiles", request, ACCEPTED)
    await report(bench, station, 0, profile(-1, "ChargingStationExternalConstraints"), source="EMS")
    assert await kept(bench, source="EMS") == [(0, -1)]
    await bench.exchange(station, "ClearChargingProfile", {"chargingProfileCriteria": {"stackLevel": 0}}, ACCEPTED)
    assert await kept(bench) == [(0, -1)]
