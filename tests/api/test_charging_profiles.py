"""Charging profiles over the API, on both databases: what may be asked for, and what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp

PATH = "/stations/CS1/charging-profiles"
DEFAULT: dict[str, Any] = {
    "evse_id": 1,
    "stack_level": 0,
    "purpose": "TxDefaultProfile",
    "kind": "Relative",
    "rate_unit": "W",
    "periods": [{"start_s": 0, "limit": 11000}],
}
TX: dict[str, Any] = DEFAULT | {"purpose": "TxProfile"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"purpose": "TxProfile", "evse_id": 0}, "give its evse_id"),
        ({"transaction_id": "tx-1"}, "only a TxProfile has a transaction_id"),
        ({"purpose": "ChargingStationMaxProfile"}, "evse_id 0"),
        ({"purpose": "ChargingStationMaxProfile", "evse_id": 0}, "cannot be relative"),
        ({"purpose": "ChargingStationExternalConstraints"}, "Input should be"),
        ({"kind": "Absolute"}, "needs starts_at"),
        ({"starts_at": "2026-11-23T12:00:00Z"}, "has no starts_at"),
        ({"kind": "Recurring", "starts_at": "2026-11-23T12:00:00Z"}, "they need it"),
        ({"recurrency": "Daily"}, "for recurring profiles"),
        ({"periods": [{"start_s": 5, "limit": 1}]}, "starts at 0"),
        ({"periods": [{"start_s": 0, "limit": 1}, {"start_s": 0, "limit": 2}]}, "in order"),
        ({"periods": [{"start_s": 0, "limit": 1, "phase_to_use": 2}]}, "needs phases 1"),
        ({"valid_from": "2027-01-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"}, "not after"),
        ({"periods": []}, "at least 1"),
        ({"stack_level": -1}, "greater than or equal to 0"),
        ({"stackLevel": 1}, "Extra inputs"),
    ],
)
async def test_what_a_station_would_refuse_is_not_sent(bench: Bench, change: dict[str, Any], says: str) -> None:
    station = await bench.connect()
    problem = await bench.api("PUT", f"{PATH}/1", DEFAULT | change, status=422)
    assert any(says in error["detail"] for error in problem["errors"]), problem
    assert await station.calls_so_far() == []


async def test_a_tx_profile_means_the_transaction_that_runs(bench: Bench) -> None:
    """Named or not; and another one is refused."""
    station = await bench.connect()
    event = {
        "eventType": "Started",
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-1"},
        "idToken": {"idToken": "GOOD", "type": "ISO14443"},
        "evse": {"id": 1, "connectorId": 1},
    }
    await bench.ask(station, "TransactionEvent", event)
    problem = await bench.api("PUT", f"{PATH}/1", TX | {"transaction_id": "tx-2"}, status=409)
    assert "Another transaction" in problem["detail"]
    sent = {
        "evseId": 1,
        "chargingProfile": {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": "tx-1",
            "chargingSchedule": [
                {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}]}
            ],
        },
    }
    for body in (TX, TX | {"transaction_id": "tx-1"}):
        await bench.arrange(station, "PUT", f"{PATH}/1", body, "SetChargingProfile", sent, {"status": "Accepted"})
    (shown,) = (await bench.api("GET", PATH))["items"]
    assert (shown["transaction_id"], shown["profile"]) == ("tx-1", sent["chargingProfile"])
    ended = event | {"eventType": "Ended", "seqNo": 1, "triggerReason": "EVDeparted", "idToken": None}
    del ended["idToken"]
    await bench.ask(station, "TransactionEvent", ended)
    assert (await bench.api("GET", PATH))["items"] == []


async def test_profiles_of_a_report_are_kept_page_by_page(bench: Bench) -> None:
    station = await bench.connect()
    profiles = [
        {
            "id": n,
            "stackLevel": n,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "validTo": "2036-11-23T00:00:00Z",
            "chargingSchedule": [
                {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}]}
            ],
        }
        for n in range(5)
    ]
    asked = {"requestId": 5, "chargingProfile": {}}
    await bench.exchange(station, "GetChargingProfiles", asked, {"status": "Accepted"})
    report = {"requestId": 5, "chargingLimitSource": "SO", "evseId": 0, "chargingProfile": profiles}
    await bench.ask(station, "ReportChargingProfiles", report)
    first = await bench.api("GET", f"{PATH}?source=SO&limit=3")
    rest = await bench.api("GET", f"{PATH}?source=SO&limit=3&after={first['next']}")
    assert [p["profile_id"] for p in first["items"] + rest["items"]] == list(range(5))
    assert rest["next"] is None


async def test_a_station_that_has_never_connected_has_no_version_to_say_it_in(bench: Bench) -> None:
    problem = await bench.api("PUT", f"{PATH}/1", DEFAULT, status=409)
    assert "never connected" in problem["detail"]
    await bench.api("DELETE", f"{PATH}/1", status=409)
    await bench.api("GET", "/stations/NONE/charging-profiles", status=404)


async def test_1_6_cannot_be_asked_what_it_has(bench: Bench) -> None:
    await bench.connect(version="ocpp1.6")
    problem = await bench.api("POST", f"{PATH}/refresh", status=404)
    assert "no action of this name" in problem["detail"]
