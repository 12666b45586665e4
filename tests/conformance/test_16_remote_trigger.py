"""OCPP 1.6: remote trigger."""

from __future__ import annotations

from tests.conformance.bench import Bench


async def test_TC_054_trigger_message(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    command = await bench.exchange(
        station, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}, {"status": "Accepted"}
    )
    assert command["state"] == "accepted"
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    assert await bench.ask(station, "StatusNotification", status) == {}


async def test_TC_055_trigger_message_rejected(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    request = {"requestedMessage": "MeterValues", "connectorId": 1}
    command = await bench.exchange(station, "TriggerMessage", request, {"status": "Rejected"})
    assert command["state"] == "refused"
    assert command["response"] == {"status": "Rejected"}
