"""Monitors, events, reports in parts and transfers on either database: what their tables are asked to do."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.bench import Bench, stamp

POWER = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
MONITOR = {"type": "UpperThreshold", "severity": 5}


async def test_monitors_events_and_their_report(bench: Bench) -> None:
    station = await bench.connect()
    asked = {"setMonitoringData": [{"value": n, **MONITOR, **POWER} for n in (1, 2)]}
    results = [{"status": "Accepted", "id": n, **MONITOR, **POWER} for n in (1, 2)]
    await bench.exchange(station, "SetVariableMonitoring", asked, {"setMonitoringResult": results})
    await bench.exchange(station, "SetMonitoringLevel", {"severity": 5}, {"status": "Accepted"})
    await bench.exchange(station, "SetMonitoringBase", {"monitoringBase": "All"}, {"status": "Accepted"})
    settings = await bench.api("GET", "/stations/CS1/monitoring")
    assert (settings["base"], settings["level"]) == ("All", 5)

    told = {"eventId": 1, "timestamp": stamp(), "trigger": "Alerting", "actualValue": "3", **POWER}
    told |= {"eventNotificationType": "CustomMonitor"}
    for event in (told, told | {"eventId": 2, "cleared": True}):
        payload = {"generatedAt": stamp(), "seqNo": 0, "eventData": [event]}
        assert await bench.ask(station, "NotifyEvent", payload) == {}
    assert (await bench.api("GET", "/stations/CS1/events?open=true"))["items"] == []
    assert len((await bench.api("GET", "/stations/CS1/events?open=false"))["items"]) == 2

    await bench.exchange(station, "GetMonitoringReport", {"requestId": 7}, {"status": "Accepted"})
    for seq_no, number in ((1, 3), (0, 2)):  # the last part first
        monitor = {"id": number, "transaction": False, "value": 9, "type": "Delta", "severity": 8}
        part = {"requestId": 7, "seqNo": seq_no, "generatedAt": stamp(), "tbc": seq_no == 0}
        part |= {"monitor": [{**POWER, "variableMonitoring": [monitor]}]}
        assert await bench.ask(station, "NotifyMonitoringReport", part) == {}
    listed = (await bench.api("GET", "/stations/CS1/monitors"))["items"]
    assert [(m["monitor_id"], m["source"]) for m in listed] == [(2, "CustomMonitor"), (3, None)]
    # The same request id again: the parts of the first report are not those of the second.
    await bench.exchange(station, "GetMonitoringReport", {"requestId": 7}, {"status": "Accepted"})
    again = await bench.api("GET", "/stations/CS1/monitoring-reports/7")
    assert (again["parts"], again["completed_at"]) == (0, None)


async def test_customer_information_that_overtakes_the_answer(bench: Bench) -> None:
    station = await bench.connect()
    asked = {"requestId": 3, "report": True, "clear": True, "customerIdentifier": "C-1"}
    sent = asyncio.create_task(bench.send("CS1", "CustomerInformation", asked))
    call = await bench.expect(station, "CustomerInformation")
    part: dict[str, Any] = {"requestId": 3, "seqNo": 0, "generatedAt": stamp(), "data": "known"}
    assert await bench.ask(station, "NotifyCustomerInformation", part) == {}
    await station.answer(call, {"status": "Accepted"})
    assert (await sent)["state"] == "accepted"
    shown = await bench.api("GET", "/stations/CS1/customer-information/3")
    assert (shown["status"], shown["information"], shown["parts"]) == ("Accepted", "known", 1)
    assert shown["completed_at"] is not None


async def test_a_transfer_from_its_request_to_its_end(bench: Bench) -> None:
    station = await bench.connect()
    firmware = {"location": "ftp://user:secret@x/1", "retrieveDateTime": stamp()}
    for number, status in ((1, "Accepted"), (2, "AcceptedCanceled")):
        asked = {"requestId": number, "firmware": firmware}
        await bench.exchange(station, "UpdateFirmware", asked, {"status": status})
    for status in ("Downloading", "Installed"):
        assert await bench.ask(station, "FirmwareStatusNotification", {"status": status, "requestId": 2}) == {}
    listed = (await bench.api("GET", "/transfers?station_id=CS1&kind=firmware"))["items"]
    assert [(t["request_id"], t["state"]) for t in listed] == [(2, "completed"), (1, "canceled")]
    assert "secret" not in str(listed)
