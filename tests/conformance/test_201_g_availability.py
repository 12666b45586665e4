"""OCPP 2.0.1, G. Availability."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

EVSE = {"id": 1}
CONNECTOR = {"id": 1, "connectorId": 1}


async def notify(bench: Bench, station: Station, status: str, evse_id: int = 1, connector_id: int = 1) -> None:
    payload = {"timestamp": stamp(), "connectorStatus": status, "evseId": evse_id, "connectorId": connector_id}
    assert await bench.ask(station, "StatusNotification", payload) == {}


async def change(bench: Bench, station: Station, operative: bool, evse: dict[str, int] | None, status: str) -> Any:
    request: dict[str, Any] = {"operationalStatus": "Operative" if operative else "Inoperative"}
    if evse is not None:
        request["evse"] = evse
    return await bench.exchange(station, "ChangeAvailability", request, {"status": status})


async def availability(bench: Bench) -> Any:
    return await bench.api("GET", "/stations/CS1/availability")


async def start(bench: Bench, station: Station) -> None:
    """A transaction on EVSE 1."""
    event = {
        "eventType": "Started",
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging"},
        "idToken": {"idToken": "GOOD", "type": "ISO14443"},
        "evse": CONNECTOR,
    }
    answer = await bench.ask(station, "TransactionEvent", event)
    assert answer["idTokenInfo"]["status"] == "Accepted"


async def end(bench: Bench, station: Station) -> None:
    event = {
        "eventType": "Ended",
        "timestamp": stamp(),
        "triggerReason": "StopAuthorized",
        "seqNo": 1,
        "transactionInfo": {"transactionId": "tx-1", "stoppedReason": "Local"},
        "idToken": {"idToken": "GOOD", "type": "ISO14443"},
    }
    await bench.ask(station, "TransactionEvent", event)


@pytest.mark.parametrize(
    ("evse", "operative"),
    [
        pytest.param(EVSE, False, id="TC_G_03-evse-inoperative"),
        pytest.param(EVSE, True, id="TC_G_04-evse-operative"),
        pytest.param(None, False, id="TC_G_05-station-inoperative"),
        pytest.param(None, True, id="TC_G_06-station-operative"),
        pytest.param(CONNECTOR, False, id="TC_G_07-connector-inoperative"),
        pytest.param(CONNECTOR, True, id="TC_G_08-connector-operative"),
    ],
)
async def test_change_availability(bench: Bench, evse: dict[str, int] | None, operative: bool) -> None:
    station = await bench.connect()
    before, after = ("Unavailable", "Available") if operative else ("Available", "Unavailable")
    await notify(bench, station, before)
    command = await change(bench, station, operative, evse, "Accepted")
    assert command["state"] == "accepted"
    concerned = (1, 2) if evse is None else (1,)
    for evse_id in concerned:
        await notify(bench, station, after, evse_id)
    seen = await availability(bench)
    (asked,) = seen["requested"]
    place = (evse or {}).get("id", 0), (evse or {}).get("connectorId", 0)
    assert (asked["evse_id"], asked["connector_id"], asked["operative"], asked["scheduled"]) == (
        *place,
        operative,
        False,
    )
    assert asked["requested_by"] == command["requested_by"]
    assert {c["evse_id"]: c["status"] for c in seen["connectors"]} == dict.fromkeys(concerned, after)


@pytest.mark.parametrize(
    "evse",
    [
        pytest.param(EVSE, id="TC_G_11-evse"),
        pytest.param(None, id="TC_G_14-station"),
        pytest.param(CONNECTOR, id="TC_G_17-connector"),
    ],
)
async def test_change_availability_with_a_transaction(bench: Bench, evse: dict[str, int] | None) -> None:
    station = await bench.connect()
    await notify(bench, station, "Occupied")
    await start(bench, station)
    command = await change(bench, station, operative=False, evse=evse, status="Scheduled")
    assert command["state"] == "accepted"
    (asked,) = (await availability(bench))["requested"]
    assert (asked["operative"], asked["scheduled"]) == (False, True)
    await end(bench, station)
    await notify(bench, station, "Unavailable")
    evses = {e["evse_id"]: e["status"] for e in (await bench.api("GET", "/stations/CS1"))["evses"]}
    assert evses[1] == "Unavailable"


async def test_change_availability_that_is_rejected_changes_nothing(bench: Bench) -> None:
    station = await bench.connect()
    assert (await change(bench, station, operative=False, evse=EVSE, status="Rejected"))["state"] == "refused"
    assert (await availability(bench))["requested"] == []


async def test_TC_G_20_connector_status_notification_lock_failure(bench: Bench) -> None:
    station = await bench.connect()
    event = {
        "eventId": 1,
        "timestamp": stamp(),
        "trigger": "Alerting",
        "actualValue": "true",
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "ConnectorPlugRetentionLock", "evse": CONNECTOR},
        "variable": {"name": "Problem"},
    }
    payload = {"generatedAt": stamp(), "seqNo": 0, "tbc": False, "eventData": [event]}
    assert await bench.ask(station, "NotifyEvent", payload) == {}
    await notify(bench, station, "Faulted")
    assert (await availability(bench))["connectors"][0]["status"] == "Faulted"


async def test_a_status_that_cannot_be_is_refused_and_harms_nothing(bench: Bench) -> None:
    station = await bench.connect()
    await notify(bench, station, "Available")
    wrong = {"timestamp": stamp(), "connectorStatus": "Broken", "evseId": 1, "connectorId": 1}
    assert (await station.ask("StatusNotification", wrong))[0] == 4
    assert (await availability(bench))["connectors"][0]["status"] == "Available"
