"""OCPP 2.0.1, B. Provisioning: boot, waiting for approval, reset, network profiles, subprotocols."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, bench, boot_payload
from tests.conformance.charge_201 import Charge
from tests.conformance.secure import refused
from tests.databases import Databases
from tests.wire.station import Station

V201 = "ocpp2.0.1"
HEARTBEAT_S = 86_400


async def boot(bench: Bench, station: Station, reason: str = "PowerUp") -> Any:
    return await bench.ask(station, "BootNotification", boot_payload(V201) | {"reason": reason})


async def notify(bench: Bench, station: Station, status: str, evse_id: int = 1) -> None:
    sent = {"timestamp": "2026-11-23T12:00:00Z", "connectorStatus": status, "evseId": evse_id, "connectorId": 1}
    assert await bench.ask(station, "StatusNotification", sent) == {}


async def held(bench: Bench) -> Station:
    """A station nobody has configured: it waits for an operator."""
    station = await bench.connect("NEW", boot=False)
    answer = await boot(bench, station)
    assert answer["status"] == "Pending"
    assert answer["interval"] > 0
    return station


async def restarted(bench: Bench, station: Station) -> Station:
    """It hangs up, comes back, and says why; transactions of before are not begun again."""
    await station.socket.close()
    back = await bench.connect(station.station_id, boot=False)
    assert (await boot(bench, back, "RemoteReset"))["status"] == "Accepted"
    return back


# --- boot -------------------------------------------------------------------------------------------------------------


async def test_TC_B_01_cold_boot_accepted(bench: Bench) -> None:
    station = await bench.connect(boot=False)
    answer = await boot(bench, station)
    assert answer["status"] == "Accepted"
    assert answer["interval"] > 0
    for evse_id in (1, 2, 3):
        await notify(bench, station, "Available", evse_id)
    assert set(await bench.ask(station, "Heartbeat", {})) == {"currentTime"}
    shown = await bench.api("GET", "/stations/CS1")
    assert (shown["vendor"], shown["model"], shown["boot_status"]) == ("Vendor", "Model", "Accepted")


@pytest.mark.parametrize(
    "payload",
    [
        {"reason": "PowerUp"},
        {"reason": "PowerUp", "chargingStation": {"vendorName": "V" * 51, "model": "M"}},
        {"reason": "Sunday", "chargingStation": {"vendorName": "V", "model": "M"}},
        {"reason": "PowerUp", "chargingStation": {"vendorName": 7, "model": None}},
    ],
    ids=["nothing", "too-long", "unknown-reason", "wrong-type"],
)
async def test_an_odd_boot_is_answered_and_written_down(bench: Bench, payload: dict[str, Any]) -> None:
    """A station that cannot boot cannot charge: what is wrong is a finding."""
    station = await bench.connect(boot=False)
    assert (await bench.ask(station, "BootNotification", payload))["status"] == "Accepted"
    findings = (await bench.api("GET", "/findings?station_id=CS1"))["items"]
    assert [(f["code"], f["action"]) for f in findings] == [("schema", "BootNotification")]


async def test_TC_B_02_cold_boot_pending(bench: Bench) -> None:
    """While it waits it can be asked and told; approved, it is asked to boot again at once."""
    station = await held(bench)
    variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    answer = {"getVariableResult": [variable | {"attributeStatus": "Accepted", "attributeValue": "60"}]}
    assert (await bench.exchange(station, "GetVariables", {"getVariableData": [variable]}, answer))["state"] == (
        "accepted"
    )
    await bench.api("PATCH", "/stations/NEW", {"admission": "accepted"})
    call = await bench.expect(station, "TriggerMessage")
    assert call[3] == {"requestedMessage": "BootNotification"}
    await station.answer(call, {"status": "Accepted"})
    assert (await boot(bench, station, "Triggered"))["status"] == "Accepted"
    assert set(await bench.ask(station, "Heartbeat", {})) == {"currentTime"}


async def test_TC_B_30_pending_security_error(bench: Bench) -> None:
    station = await held(bench)
    for action, payload in (
        ("Heartbeat", {}),
        ("Authorize", {"idToken": {"idToken": "GOOD", "type": "ISO14443"}}),
        ("TransactionEvent", Charge(bench, station).payload("Started", "Authorized", token=True)),
    ):
        assert (await station.ask(action, payload))[2] == "SecurityError"
    assert (await bench.api("GET", "/sessions?station_id=NEW"))["items"] == []


async def test_TC_B_31_pending_trigger_message(bench: Bench) -> None:
    """What a waiting station was asked for is taken (B02.FR.09); what it was not, is not."""
    station = await held(bench)
    await bench.exchange(station, "TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"})
    assert set(await bench.ask(station, "Heartbeat", {})) == {"currentTime"}
    await bench.exchange(station, "TriggerMessage", {"requestedMessage": "BootNotification"}, {"status": "Accepted"})
    assert (await boot(bench, station, "Triggered"))["status"] == "Pending"
    report = {"requestId": 1, "generatedAt": "2026-11-23T12:00:00Z", "seqNo": 0}
    assert (await station.ask("NotifyReport", report))[2] == "SecurityError"
    request = {"requestId": 1, "reportBase": "FullInventory"}
    await bench.exchange(station, "GetBaseReport", request, {"status": "Accepted"})
    assert await bench.ask(station, "NotifyReport", report) == {}


async def test_a_refused_station_is_hung_up_on_and_stays_out(bench: Bench) -> None:
    station = await bench.connect()
    await bench.api("PATCH", "/stations/CS1", {"admission": "refused"})
    assert await station.closed() == (1008, "this station is refused")
    await bench.eventually(lambda: bench.api("GET", "/stations/CS1"), lambda s: not s["connected"])
    assert await refused(bench, V201, 1) == "403 this station is refused"


async def test_a_station_that_may_charge_already_is_not_asked_to_boot(bench: Bench) -> None:
    station = await bench.connect()
    await bench.api("PATCH", "/stations/CS1", {"admission": "accepted", "site": "Yard"})
    assert await station.calls_so_far() == []


# --- reset ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"type": "OnIdle"}, id="TC_B_20-station"),
        pytest.param({"type": "OnIdle", "evseId": 1}, id="TC_B_25-evse"),
    ],
)
async def test_reset_without_a_transaction(bench: Bench, request_: dict[str, Any]) -> None:
    station = await bench.connect()
    command = await bench.exchange(station, "Reset", request_, {"status": "Accepted"})
    assert (command["state"], command["response"]) == ("accepted", {"status": "Accepted"})
    if "evseId" not in request_:
        station = await restarted(bench, station)
    await notify(bench, station, "Available")
    shown = await bench.api("GET", "/stations/CS1")
    assert (shown["connected"], shown["evses"][0]["status"]) == (True, "Available")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"type": "OnIdle"}, id="TC_B_21-station"),
        pytest.param({"type": "OnIdle", "evseId": 1}, id="TC_B_26-evse"),
    ],
)
async def test_reset_on_idle_waits_for_the_transaction(bench: Bench, request_: dict[str, Any]) -> None:
    """Scheduled: the charge goes on, and ends as the driver ends it."""
    station = await bench.connect()
    charge = Charge(bench, station)
    await charge.started()
    command = await bench.exchange(station, "Reset", request_, {"status": "Scheduled"})
    assert (command["state"], command["response"]) == ("accepted", {"status": "Scheduled"})
    await charge.tell("Updated", "MeterValuePeriodic", wh=1500)
    assert [s["open"] for s in await charge.sessions()] == [True]
    await charge.tell("Ended", "EVCommunicationLost", wh=2000, reason="EVDisconnected", context="Transaction.End")
    assert [(s["charging"], s["energy_wh"], s["end_reason"]) for s in await charge.sessions()] == [
        ("ended", 1000, "EVDisconnected")
    ]
    if "evseId" not in request_:
        await restarted(bench, station)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"type": "Immediate"}, id="TC_B_22-station"),
        pytest.param({"type": "Immediate", "evseId": 1}, id="TC_B_27-evse"),
    ],
)
async def test_an_immediate_reset_ends_the_transaction(bench: Bench, request_: dict[str, Any]) -> None:
    station = await bench.connect()
    charge = Charge(bench, station)
    await charge.started()
    assert (await bench.exchange(station, "Reset", request_, {"status": "Accepted"}))["state"] == "accepted"
    await charge.tell("Ended", "ResetCommand", wh=1200, reason="ImmediateReset", context="Transaction.End")
    if "evseId" not in request_:
        await restarted(bench, station)
    assert [(s["charging"], s["energy_wh"], s["end_reason"]) for s in await charge.sessions()] == [
        ("ended", 200, "ImmediateReset")
    ]


async def test_a_reset_that_is_refused_or_cannot_be_said(bench: Bench) -> None:
    station = await bench.connect()
    command = await bench.exchange(station, "Reset", {"type": "Immediate"}, {"status": "Rejected"})
    assert command["state"] == "refused"
    for wrong in ({}, {"type": "Hard"}, {"type": "OnIdle", "evseId": "1"}, {"type": "OnIdle", "connectorId": 1}):
        await bench.api("POST", "/stations/CS1/commands/Reset", wrong, status=422)
    assert await station.calls_so_far() == []


# --- network profiles and subprotocols --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        pytest.param("Accepted", "accepted", id="TC_B_42"),
        pytest.param("Failed", "refused", id="TC_B_44"),
        pytest.param("Rejected", "refused", id="rejected"),
    ],
)
async def test_set_a_network_profile(bench: Bench, status: str, state: str) -> None:
    station = await bench.connect()
    profile = {
        "configurationSlot": 1,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://csms.example/ocpp",
            "messageTimeout": 30,
            "securityProfile": 2,
            "ocppInterface": "Wired0",
        },
    }
    command = await bench.exchange(station, "SetNetworkProfile", profile, {"status": status})
    assert (command["state"], command["response"]) == (state, {"status": status})
    lacking = {"configurationSlot": 1, "connectionData": {"ocppVersion": "OCPP20"}}
    await bench.api("POST", "/stations/CS1/commands/SetNetworkProfile", lacking, status=422)


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [((V201,), V201), (("ocpp1.6", V201), V201), ((V201, "ocpp2.1"), "ocpp2.1"), (("soap", V201), V201)],
)
async def test_TC_B_58_websocket_subprotocol(bench: Bench, offered: tuple[str, ...], spoken: str) -> None:
    station = await bench.connect("CS1", *offered, boot=False)
    assert station.version == spoken
    for none_known in ("ocpp2.0", "OCPP2.0.1", "ocpp"):
        assert (await refused(bench, none_known, 1)).startswith("400 no OCPP version in common")


async def test_unknown_stations_may_be_let_in_at_once(databases: Databases) -> None:
    async with bench(databases.fresh("sqlite"), ocpp={"unknown_stations": "accept"}) as made:
        station = await made.connect("NEW", boot=False)
        assert (await boot(made, station))["status"] == "Accepted"
