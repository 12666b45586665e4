"""OCPP 1.6: remote trigger."""

from __future__ import annotations

from tests.conformance.bench import Bench


async def test_TC_054_trigger_message(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    command = await bench.exchange(
        station, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}, {"status": "Accepted"}
    )
    assert command["state"] == "accepted"
    for said in ("Available", "Faulted"):  # told again, it is believed again
        status = {"connectorId": 1, "errorCode": "NoError", "status": said}
        assert await bench.ask(station, "StatusNotification", status) == {}
        (evse, *_) = (await bench.api("GET", "/stations/CS1"))["evses"]
        assert (evse["evse_id"], evse["status"]) == (1, said)


async def test_TC_055_trigger_message_rejected(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    request = {"requestedMessage": "MeterValues", "connectorId": 1}
    command = await bench.exchange(station, "TriggerMessage", request, {"status": "Rejected"})
    assert command["state"] == "refused"
    assert command["response"] == {"status": "Rejected"}


async def test_a_trigger_that_cannot_be_said_is_not_sent(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    for wrong in ({}, {"requestedMessage": "Authorize"}, {"requestedMessage": "Heartbeat", "connectorId": "1"}):
        assert (await bench.api("POST", "/stations/CS1/commands/TriggerMessage", wrong, status=422))["errors"]
    assert await station.calls_so_far() == []
