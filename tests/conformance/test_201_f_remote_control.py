"""OCPP 2.0.1, F. Remote control."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.charge_201 import ACCEPTED, TOKEN, Charge
from tests.wire.station import Station


async def remote_start(bench: Bench, station: Station, answer: dict[str, Any], **more: Any) -> Any:
    request = {"idToken": TOKEN, "remoteStartId": 77, "evseId": 1} | more
    return await bench.exchange(station, "RequestStartTransaction", request, answer)


async def evse_status(bench: Bench) -> str:
    evses = (await bench.api("GET", "/stations/CS1"))["evses"]
    return next(str(e["status"]) for e in evses if e["evse_id"] == 1)


async def test_TC_F_01_remote_start_cable_plugged_in_first(bench: Bench) -> None:
    station = await bench.connect()
    charge = Charge(bench, station)
    await charge.status("Occupied")
    assert "idTokenInfo" not in await charge.tell("Started", "CablePluggedIn", state="EVConnected", wh=1000)
    assert await charge.sessions() == []
    command = await remote_start(bench, station, ACCEPTED | {"transactionId": "tx-1"})
    assert command["response"]["transactionId"] == "tx-1"
    assert (await charge.tell("Updated", "RemoteStart", remote=77, token=True))["idTokenInfo"] == ACCEPTED
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1002)
    session = await charge.session()
    assert (session["charging"], session["energy_wh"], session["id_token"]) == ("charging", 2, "GOOD")


@pytest.mark.parametrize(
    "authorize",
    [
        pytest.param(True, id="TC_F_02-AuthorizeRemoteStart-true"),
        pytest.param(False, id="TC_F_03-AuthorizeRemoteStart-false"),
    ],
)
async def test_remote_start_first(bench: Bench, authorize: bool) -> None:
    station = await bench.connect()
    charge = Charge(bench, station)
    await charge.status("Available")
    assert (await remote_start(bench, station, ACCEPTED))["state"] == "accepted"
    assert await charge.sessions() == []  # it has promised, and not begun
    if authorize:
        assert await charge.authorize() == "Accepted"
    assert (await charge.tell("Started", "RemoteStart", remote=77, token=True))["idTokenInfo"] == ACCEPTED
    await charge.status("Occupied")
    await charge.tell("Updated", "CablePluggedIn", state="EVConnected", wh=500)
    assert await evse_status(bench) == "Occupied"
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=500)
    assert (await charge.session())["charging"] == "charging"
    await charge.tell("Ended", "EVCommunicationLost", reason="EVDisconnected", wh=503)
    await charge.ends(energy_wh=3, end_reason="EVDisconnected")


async def test_TC_F_04_remote_start_first_cable_plugin_timeout(bench: Bench) -> None:
    station = await bench.connect()
    charge = Charge(bench, station)
    await remote_start(bench, station, ACCEPTED)
    await charge.tell("Started", "RemoteStart", remote=77, token=True)
    assert (await charge.tell("Ended", "EVConnectTimeout", reason="Timeout"))["totalCost"] == 0
    await charge.status("Available")
    assert await evse_status(bench) == "Available"
    session = await charge.session()
    assert (session["charging"], session["energy_wh"], session["end_reason"]) == ("ended", 0, "Timeout")
    assert (session["cost_minor"], session["flags"]) == (0, ["no-start-register"])  # it told no register at all


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "Accepted", "transactionId": "t" * 37}])
async def test_a_remote_start_that_comes_to_nothing_begins_nothing(bench: Bench, answer: dict[str, Any]) -> None:
    station = await bench.connect()
    command = await remote_start(bench, station, answer)
    assert command["state"] == ("refused" if answer["status"] == "Rejected" else "accepted")
    assert (await bench.api("GET", "/sessions"))["items"] == []
    for wrong in ({"remoteStartId": 77}, {"idToken": TOKEN, "remoteStartId": "77"}, {"idToken": "GOOD"}):
        await bench.api("POST", "/stations/CS1/commands/RequestStartTransaction", wrong, status=422)


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
    if what == "MeterValues":
        shown = (await bench.api("GET", "/stations/CS1/registers"))["items"]
        assert [(r["evse_id"], r["register_wh"], r["context"]) for r in shown] == [
            (payload["evseId"], "1.5", "Trigger") for _, payload in messages
        ]
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
    charges = [Charge(bench, station, f"tx-{n}", n) for n in evses]
    for charge, id_token in zip(charges, ("GOOD", "GOOD2"), strict=False):
        await charge.started(1000, idToken=TOKEN | {"idToken": id_token})
    await bench.exchange(
        station, "TriggerMessage", {"requestedMessage": "TransactionEvent"} | where, {"status": "Accepted"}
    )
    for n, charge in enumerate(charges, 1):
        await charge.tell("Updated", "Trigger", state="Charging", wh=1000 + n, context="Trigger")
        session = await charge.session()
        assert (session["charging"], session["energy_wh"]) == ("charging", n)


async def test_TC_F_27_trigger_message_not_implemented(bench: Bench) -> None:
    station = await bench.connect()
    request = {"requestedMessage": "SignV2GCertificate"}
    command = await bench.exchange(station, "TriggerMessage", request, {"status": "NotImplemented"})
    assert (command["state"], command["response"]["status"]) == ("refused", "NotImplemented")
