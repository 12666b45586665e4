"""OCPP 1.6 Core: unlocking, availability."""

from __future__ import annotations

import pytest

from tests.conformance.bench import Bench, stamp


@pytest.mark.parametrize(
    ("status", "state"),
    [
        pytest.param("Unlocked", "accepted", id="TC_017_1-not-fixed-cable"),
        pytest.param("NotSupported", "refused", id="TC_017_2-fixed-cable"),
        pytest.param("UnlockFailed", "refused", id="TC_030-unlock-failure"),
        pytest.param("NotSupported", "refused", id="TC_031-unknown-connector"),
    ],
)
async def test_unlock_connector(bench: Bench, status: str, state: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    connector = 9 if state == "refused" else 1
    command = await bench.exchange(station, "UnlockConnector", {"connectorId": connector}, {"status": status})
    assert (command["state"], command["response"]) == (state, {"status": status})


async def test_TC_018_1_unlock_connector_with_a_charging_session(bench: Bench) -> None:
    """The station ends the transaction first; the unlock is no substitute for a stop, and the stop is answered."""
    station = await bench.connect(version="ocpp1.6")
    start = {"connectorId": 1, "idTag": "GOOD", "meterStart": 0, "timestamp": stamp()}
    transaction_id = (await bench.ask(station, "StartTransaction", start))["transactionId"]
    command = await bench.exchange(station, "UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"})
    assert command["state"] == "accepted"
    (session,) = (await bench.api("GET", "/sessions"))["items"]
    assert session["charging"] == "charging"
    stop = {"transactionId": transaction_id, "meterStop": 3, "timestamp": stamp(), "reason": "UnlockCommand"}
    assert await bench.ask(station, "StopTransaction", stop) == {}
    finishing = {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"}
    assert await bench.ask(station, "StatusNotification", finishing) == {}
    (session,) = (await bench.api("GET", "/sessions"))["items"]
    assert (session["charging"], session["end_reason"], session["energy_wh"]) == ("ended", "Local", 3)


async def test_availability_is_kept(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    await bench.exchange(
        station, "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Scheduled"}
    )
    (asked,) = (await bench.api("GET", "/stations/CS1/availability"))["requested"]
    assert (asked["evse_id"], asked["operative"], asked["scheduled"]) == (0, False, True)
