"""OCPP 1.6 Core: boot, waiting for approval, reset."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, boot_payload, stamp
from tests.wire.station import Station

V16 = "ocpp1.6"


async def boot(bench: Bench, station: Station) -> Any:
    return await bench.ask(station, "BootNotification", boot_payload(V16))


async def report(bench: Bench, station: Station, connector_id: int, status: str) -> None:
    sent = {"connectorId": connector_id, "errorCode": "NoError", "status": status}
    assert await bench.ask(station, "StatusNotification", sent) == {}


async def test_TC_001_cold_boot(bench: Bench) -> None:
    station = await bench.connect(version=V16, boot=False)
    answer = await boot(bench, station)
    assert answer["status"] == "Accepted"
    assert answer["interval"] > 0
    for connector_id in (0, 1, 2, 3):
        await report(bench, station, connector_id, "Available")
    assert set(await bench.ask(station, "Heartbeat", {})) == {"currentTime"}
    shown = await bench.api("GET", "/stations/CS1")
    assert (shown["vendor"], shown["firmware_version"], shown["version"]) == ("Vendor", "1.0", V16)
    assert [e["status"] for e in shown["evses"]] == ["Available"] * 3


@pytest.mark.parametrize(
    "payload",
    [{}, {"chargePointVendor": "V" * 21, "chargePointModel": "M"}, {"chargePointVendor": 7, "chargePointModel": None}],
    ids=["nothing", "too-long", "wrong-type"],
)
async def test_an_odd_boot_is_answered_and_written_down(bench: Bench, payload: dict[str, Any]) -> None:
    station = await bench.connect(version=V16, boot=False)
    assert (await bench.ask(station, "BootNotification", payload))["status"] == "Accepted"
    findings = (await bench.api("GET", "/findings?station_id=CS1"))["items"]
    assert [(f["code"], f["action"]) for f in findings] == [("schema", "BootNotification")]


async def test_a_waiting_station_is_told_pending_until_an_operator_approves(bench: Bench) -> None:
    """§4.2. What it was asked for is taken; approved, it is asked to boot again at once."""
    station = await bench.connect("NEW", V16, boot=False)
    assert (await boot(bench, station))["status"] == "Pending"
    assert (await station.ask("Heartbeat", {}))[2] == "SecurityError"
    trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
    await bench.exchange(station, "TriggerMessage", trigger, {"status": "Accepted"})
    await report(bench, station, 1, "Available")
    await bench.api("PATCH", "/stations/NEW", {"admission": "accepted"})
    call = await bench.expect(station, "TriggerMessage")
    assert call[3] == {"requestedMessage": "BootNotification"}
    await station.answer(call, {"status": "NotImplemented"})  # it boots by itself, when its interval is over
    assert (await boot(bench, station))["status"] == "Accepted"
    assert set(await bench.ask(station, "Heartbeat", {})) == {"currentTime"}


async def test_a_refused_station_is_hung_up_on(bench: Bench) -> None:
    station = await bench.connect(version=V16)
    await bench.api("PATCH", "/stations/CS1", {"admission": "refused"})
    assert await station.closed() == (1008, "this station is refused")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [pytest.param("Hard", "HardReset", id="TC_013"), pytest.param("Soft", "SoftReset", id="TC_014")],
)
async def test_reset(bench: Bench, kind: str, reason: str) -> None:
    """The transaction ends with the reset, told before it or after it, and is charged once."""
    station = await bench.connect(version=V16)
    start = {"connectorId": 1, "idTag": "GOOD", "meterStart": 1000, "timestamp": stamp()}
    number = (await bench.ask(station, "StartTransaction", start))["transactionId"]
    command = await bench.exchange(station, "Reset", {"type": kind}, {"status": "Accepted"})
    assert (command["state"], command["response"]) == ("accepted", {"status": "Accepted"})
    stop = {"transactionId": number, "meterStop": 1200, "timestamp": stamp(), "reason": reason}
    if kind == "Soft":
        assert await bench.ask(station, "StopTransaction", stop) == {}
    await station.socket.close()
    back = await bench.connect(version=V16)
    if kind == "Hard":
        assert await bench.ask(back, "StopTransaction", stop) == {}
    assert await bench.ask(back, "StopTransaction", stop) == {}  # told again
    await report(bench, back, 1, "Available")
    (session,) = (await bench.api("GET", "/sessions"))["items"]
    assert (session["charging"], session["energy_wh"]) == ("ended", 200)


async def test_a_reset_that_is_refused_or_cannot_be_said(bench: Bench) -> None:
    station = await bench.connect(version=V16)
    assert (await bench.exchange(station, "Reset", {"type": "Hard"}, {"status": "Rejected"}))["state"] == "refused"
    for wrong in ({}, {"type": "Immediate"}, {"type": 1}, {"type": "Hard", "evseId": 1}):
        await bench.api("POST", "/stations/CS1/commands/Reset", wrong, status=422)
    assert await station.calls_so_far() == []
