"""OCPP 2.0.1, F. Remote control."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

TOKEN = {"idToken": "GOOD", "type": "ISO14443"}


def event(kind: str, seq_no: int, trigger: str, info: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": trigger,
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "tx-1"} | info,
    } | more


async def remote_start(bench: Bench, station: Station, answer: dict[str, Any], **more: Any) -> Any:
    request = {"idToken": TOKEN, "remoteStartId": 77, "evseId": 1} | more
    return await bench.exchange(station, "RequestStartTransaction", request, answer)


async def evse_status(bench: Bench) -> str:
    evses = (await bench.api("GET", "/stations/CS1"))["evses"]
    return next(str(e["status"]) for e in evses if e["evse_id"] == 1)


async def notify(bench: Bench, station: Station, status: str) -> None:
    payload = {"timestamp": stamp(), "connectorStatus": status, "evseId": 1, "connectorId": 1}
    assert await bench.ask(station, "StatusNotification", payload) == {}


async def test_TC_F_01_remote_start_cable_plugged_in_first(bench: Bench) -> None:
    station = await bench.connect()
    await notify(bench, station, "Occupied")
    started = event("Started", 0, "CablePluggedIn", {"chargingState": "EVConnected"}, evse={"id": 1, "connectorId": 1})
    assert "idTokenInfo" not in await bench.ask(station, "TransactionEvent", started)
    command = await remote_start(bench, station, {"status": "Accepted", "transactionId": "tx-1"})
    assert command["response"]["transactionId"] == "tx-1"
    updated = event("Updated", 1, "RemoteStart", {"remoteStartId": 77}, idToken=TOKEN, evse={"id": 1, "connectorId": 1})
    assert (await bench.ask(station, "TransactionEvent", updated))["idTokenInfo"]["status"] == "Accepted"
    charging = event("Updated", 2, "ChargingStateChanged", {"chargingState": "Charging"})
    await bench.ask(station, "TransactionEvent", charging)


@pytest.mark.parametrize(
    "authorize",
    [
        pytest.param(True, id="TC_F_02-AuthorizeRemoteStart-true"),
        pytest.param(False, id="TC_F_03-AuthorizeRemoteStart-false"),
    ],
)
async def test_remote_start_first(bench: Bench, authorize: bool) -> None:
    station = await bench.connect()
    await notify(bench, station, "Available")
    assert (await remote_start(bench, station, {"status": "Accepted"}))["state"] == "accepted"
    if authorize:
        answer = await bench.ask(station, "Authorize", {"idToken": TOKEN})
        assert answer["idTokenInfo"]["status"] == "Accepted"
    started = event("Started", 0, "RemoteStart", {"remoteStartId": 77}, idToken=TOKEN, evse={"id": 1, "connectorId": 1})
    assert (await bench.ask(station, "TransactionEvent", started))["idTokenInfo"]["status"] == "Accepted"
    await notify(bench, station, "Occupied")
    plugged = event("Updated", 1, "CablePluggedIn", {"chargingState": "EVConnected"})
    await bench.ask(station, "TransactionEvent", plugged)
    assert await evse_status(bench) == "Occupied"


async def test_TC_F_04_remote_start_first_cable_plugin_timeout(bench: Bench) -> None:
    station = await bench.connect()
    await remote_start(bench, station, {"status": "Accepted"})
    started = event("Started", 0, "RemoteStart", {"remoteStartId": 77}, idToken=TOKEN, evse={"id": 1, "connectorId": 1})
    await bench.ask(station, "TransactionEvent", started)
    ended = event("Ended", 1, "EVConnectTimeout", {"stoppedReason": "Timeout"})
    await bench.ask(station, "TransactionEvent", ended)
    await notify(bench, station, "Available")
    assert await evse_status(bench) == "Available"


async def test_TC_F_06_remote_unlock_connector(bench: Bench) -> None:
    station = await bench.connect()
    request = {"evseId": 1, "connectorId": 1}
    assert (await bench.exchange(station, "UnlockConnector", request, {"status": "Unlocked"}))["state"] == "accepted"
    for status in ("UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"):
        assert (await bench.exchange(station, "UnlockConnector", request, {"status": status}))["state"] == "refused"
    await bench.api("POST", "/stations/CS1/commands/UnlockConnector", {"evseId": "1"}, status=422)


METER = {"meterValue": [{"timestamp": stamp(), "sampledValue": [{"value": 1.5, "context": "Trigger"}]}]}
TRIGGERED: dict[str, tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]]]] = {
    "TC_F_11-MeterValues-evse": ("MeterValues", {"evse": {"id": 1}}, [("MeterValues", {"evseId": 1} | METER)]),
    "TC_F_12-MeterValues-all": ("MeterValues", {}, [("MeterValues", {"evseId": n} | METER) for n in (1, 2)]),
    "TC_F_15-LogStatus": ("LogStatusNotification", {}, [("LogStatusNotification", {"status": "Idle"})]),
    "TC_F_18-FirmwareStatus": ("FirmwareStatusNotification", {}, [("FirmwareStatusNotification", {"status": "Idle"})]),
    "TC_F_20-Heartbeat": ("Heartbeat", {}, [("Heartbeat", {})]),
    "TC_F_23-Available": (
        "StatusNotification",
        {"evse": {"id": 1, "connectorId": 1}},
        [
            (
                "StatusNotification",
                {"timestamp": stamp(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
            )
        ],
    ),
    "TC_F_24-Occupied": (
        "StatusNotification",
        {"evse": {"id": 1, "connectorId": 1}},
        [
            (
                "StatusNotification",
                {"timestamp": stamp(), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1},
            )
        ],
    ),
}


@pytest.mark.parametrize("case", TRIGGERED)
async def test_trigger_message(bench: Bench, case: str) -> None:
    what, where, messages = TRIGGERED[case]
    station = await bench.connect()
    command = await bench.exchange(
        station, "TriggerMessage", {"requestedMessage": what} | where, {"status": "Accepted"}
    )
    assert command["state"] == "accepted"
    for action, payload in messages:
        await bench.ask(station, action, payload)
        if action == "StatusNotification":
            assert await evse_status(bench) == payload["connectorStatus"]
    assert (await bench.api("GET", "/findings"))["items"] == []


@pytest.mark.parametrize(
    ("where", "evses"),
    [
        pytest.param({"evse": {"id": 1}}, (1,), id="TC_F_13-evse"),
        pytest.param({}, (1, 2), id="TC_F_14-all"),
    ],
)
async def test_trigger_transaction_event(bench: Bench, where: dict[str, Any], evses: tuple[int, ...]) -> None:
    station = await bench.connect()
    for n in evses:
        started = event(
            "Started",
            0,
            "Authorized",
            {"transactionId": f"tx-{n}", "chargingState": "Charging"},
            idToken={"idToken": f"GOOD{n if n > 1 else ''}", "type": "ISO14443"},
            evse={"id": n, "connectorId": 1},
        )
        await bench.ask(station, "TransactionEvent", started)
    await bench.exchange(
        station, "TriggerMessage", {"requestedMessage": "TransactionEvent"} | where, {"status": "Accepted"}
    )
    for n in evses:
        triggered = event("Updated", 1, "Trigger", {"transactionId": f"tx-{n}", "chargingState": "Charging"}, **METER)
        await bench.ask(station, "TransactionEvent", triggered)


async def test_TC_F_27_trigger_message_not_implemented(bench: Bench) -> None:
    station = await bench.connect()
    request = {"requestedMessage": "SignV2GCertificate"}
    command = await bench.exchange(station, "TriggerMessage", request, {"status": "NotImplemented"})
    assert (command["state"], command["response"]["status"]) == ("refused", "NotImplemented")
