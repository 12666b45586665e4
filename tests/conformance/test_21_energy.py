"""OCPP 2.1 K, N, Q, R, S: priority, dynamic schedules, streams, DER control, battery swaps. By websocket and API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench

AT = "2026-11-23T12:00:00Z"
FIXED_VAR = {"priority": 1, "setpoint": 50.0, "unit": "PctMaxVar"}


async def listed(bench: Bench, what: str) -> list[Any]:
    """What the API says of the station."""
    items: list[Any] = (await bench.api("GET", f"/stations/CS1/{what}"))["items"]
    return items


# --- K. smart charging ------------------------------------------------------------------------------------------------


async def test_K21_K22_priority_is_kept(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    request = {"transactionId": "TX-1", "activate": True}
    await bench.exchange(station, "UsePriorityCharging", request, {"status": "NoProfile"})
    assert await listed(bench, "priority-charging") == []
    await bench.exchange(station, "UsePriorityCharging", request, {"status": "Accepted"})
    (shown,) = await listed(bench, "priority-charging")
    assert (shown["transaction_id"], shown["active"]) == ("TX-1", True)
    told = {"transactionId": "TX-1", "activated": False}
    assert await bench.ask(station, "NotifyPriorityCharging", told) == {}
    (shown,) = await listed(bench, "priority-charging")
    assert shown["active"] is False


async def test_K28_a_station_pulls_what_it_was_last_given(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    pulled = await bench.ask(station, "PullDynamicScheduleUpdate", {"chargingProfileId": 7})
    assert pulled["status"] == "Rejected"
    for limit in (11000, 7400):
        payload = {"chargingProfileId": 7, "scheduleUpdate": {"limit": limit}}
        await bench.exchange(station, "UpdateDynamicSchedule", payload, {"status": "Accepted"})
    refused = {"chargingProfileId": 7, "scheduleUpdate": {"limit": 1}}
    await bench.exchange(station, "UpdateDynamicSchedule", refused, {"status": "Rejected"})
    answer = {"status": "Accepted", "scheduleUpdate": {"limit": 7400}}
    assert await bench.ask(station, "PullDynamicScheduleUpdate", {"chargingProfileId": 7}) == answer
    (shown,) = await listed(bench, "dynamic-schedules")
    assert (shown["profile_id"], shown["limits"]) == (7, {"limit": 7400})
    assert shown["pulled_at"]


# --- N. periodic event streams ----------------------------------------------------------------------------------------


async def test_N11_to_N15_a_stream_from_open_to_close(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    stream = {"id": 3, "params": {"interval": 60, "values": 10}, "variableMonitoringId": 9}
    assert await bench.ask(station, "OpenPeriodicEventStream", {"constantStreamData": stream}) == {"status": "Accepted"}
    data = [{"t": 0, "v": "16.1"}, {"t": 2.5, "v": "16.2"}]
    await station.send(6, "s1", "NotifyPeriodicEventStream", {"id": 3, "pending": 4, "basetime": AT, "data": data})
    await station.send(6, "s2", "NotifyPeriodicEventStream", {"id": 3, "pending": 0, "basetime": AT, "data": data[1:]})

    async def streams() -> list[Any]:
        return await listed(bench, "event-streams")

    (shown,) = await bench.eventually(streams, lambda items: items[0]["received"] == 3)
    assert (shown["stream_id"], shown["monitor_id"], shown["interval_s"], shown["values_at_once"]) == (3, 9, 60, 10)
    assert (shown["last_value"], shown["last_value_at"], shown["pending"]) == ("16.2", "2026-11-23T12:00:02.500000Z", 0)

    adjusted = {"id": 3, "params": {"interval": 5}}
    await bench.exchange(station, "AdjustPeriodicEventStream", adjusted, {"status": "Accepted"})
    (shown,) = await streams()
    assert (shown["interval_s"], shown["monitor_id"], shown["received"]) == (5, 9, 3)
    assert await bench.ask(station, "ClosePeriodicEventStream", {"id": 3}) == {}
    (shown,) = await streams()
    assert shown["open"] is False


async def test_N12_the_open_streams_are_read(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    streams = [{"id": n, "params": {"values": n}, "variableMonitoringId": n + 10} for n in (1, 2)]
    await bench.exchange(station, "GetPeriodicEventStream", {}, {"constantStreamData": streams})
    assert [(one["stream_id"], one["monitor_id"]) for one in await listed(bench, "event-streams")] == [(1, 11), (2, 12)]


# --- R. DER control ---------------------------------------------------------------------------------------------------


def fixed_var(control_id: str, *, default: bool = False) -> dict[str, Any]:
    """SetDERControl."""
    return {"isDefault": default, "controlId": control_id, "controlType": "FixedVar", "fixedVar": FIXED_VAR}


async def test_R04_controls_are_set_switched_superseded_and_cleared(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    await bench.exchange(station, "SetDERControl", fixed_var("bad"), {"status": "NotSupported"})
    await bench.exchange(station, "SetDERControl", fixed_var("one"), {"status": "Accepted"})
    answer = {"status": "Accepted", "supersededIds": ["one"]}
    await bench.exchange(station, "SetDERControl", fixed_var("two"), answer)
    controls = {one["control_id"]: one for one in await listed(bench, "der-controls")}
    assert set(controls) == {"one", "two"}
    assert (controls["one"]["superseded"], controls["two"]["superseded"]) == (True, False)
    assert (controls["two"]["control_type"], controls["two"]["body"]) == ("FixedVar", FIXED_VAR)
    switched = {"controlId": "two", "started": True, "timestamp": AT}
    assert await bench.ask(station, "NotifyDERStartStop", switched) == {}
    assert (await listed(bench, "der-controls"))[1]["started"] is True
    cleared = {"isDefault": False, "controlId": "one"}
    await bench.exchange(station, "ClearDERControl", cleared, {"status": "NotFound"})
    assert len(await listed(bench, "der-controls")) == 2
    await bench.exchange(station, "ClearDERControl", cleared, {"status": "Accepted"})
    assert [one["control_id"] for one in await listed(bench, "der-controls")] == ["two"]


async def test_R04_a_report_in_parts(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    await bench.exchange(station, "GetDERControl", {"requestId": 5}, {"status": "Accepted"})
    reported = {"id": "v", "isDefault": True, "isSuperseded": False, "fixedVar": FIXED_VAR}
    assert await bench.ask(station, "ReportDERControl", {"requestId": 5, "fixedVar": [reported], "tbc": True}) == {}
    gradient = {"id": "g", "gradient": {"priority": 0, "gradient": 1, "softGradient": 1}}
    assert await bench.ask(station, "ReportDERControl", {"requestId": 5, "gradient": [gradient]}) == {}
    shown = [(one["control_id"], one["control_type"], one["is_default"]) for one in await listed(bench, "der-controls")]
    assert shown == [("g", "Gradients", None), ("v", "FixedVar", True)]


async def test_R05_an_alarm_told_twice_is_one(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    alarm = {"controlType": "HVMustTrip", "gridEventFault": "OverVoltage", "timestamp": AT, "extraInfo": "253 V"}
    for _ in range(2):
        assert await bench.ask(station, "NotifyDERAlarm", alarm) == {}
    await bench.ask(station, "NotifyDERAlarm", alarm | {"alarmEnded": True})
    ended, began = await listed(bench, "der-alarms")
    assert (began["fault"], began["ended"], ended["ended"]) == ("OverVoltage", False, True)


# --- Q, S, and what is only sent --------------------------------------------------------------------------------------


async def test_S_swaps_are_kept(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    token = {"idToken": "GOOD", "type": "ISO14443"}
    await bench.exchange(station, "RequestBatterySwap", {"idToken": token, "requestId": 4}, {"status": "Accepted"})
    battery = {"evseId": 1, "serialNumber": "B-1", "soC": 12.5, "soH": 98}
    swap = {"batteryData": [battery], "eventType": "BatteryIn", "idToken": token, "requestId": 4}
    assert await bench.ask(station, "BatterySwap", swap) == {}
    (shown,) = await listed(bench, "battery-swaps")
    assert (shown["event"], shown["request_id"], shown["batteries"]) == ("BatteryIn", 4, [battery])


@pytest.mark.parametrize(
    ("action", "payload", "answer", "state"),
    [
        ("AFRRSignal", {"timestamp": AT, "signal": -3}, {"status": "Accepted"}, "accepted"),
        (
            "NotifyAllowedEnergyTransfer",
            {"transactionId": "TX-1", "allowedEnergyTransfer": ["DC_BPT"]},
            {"status": "Rejected"},
            "refused",
        ),
        ("NotifyWebPaymentStarted", {"evseId": 1, "timeout": 120}, {}, "accepted"),
    ],
)
async def test_what_is_only_sent(bench: Bench, action: str, payload: Any, answer: Any, state: str) -> None:
    station = await bench.connect(version="ocpp2.1")
    command = await bench.exchange(station, action, payload, answer)
    assert (command["state"], command["response"]) == (state, answer)


async def test_M07_no_good_word_is_made_up(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    certificate = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
    asked = {"certificateHashData": certificate, "source": "CRL", "urls": ["http://crl.example"]}
    answer = await bench.ask(station, "GetCertificateChainStatus", {"certificateStatusRequests": [asked]})
    (told,) = answer["certificateStatus"]
    assert (told["certificateHashData"], told["source"], told["status"]) == (certificate, "CRL", "Failed")


# --- the version itself -----------------------------------------------------------------------------------------------


async def test_a_station_that_offers_several_gets_the_newest(bench: Bench) -> None:
    station = await bench.connect("CS1", "ocpp1.6", "ocpp2.0.1", "ocpp2.1", boot=False)
    assert station.version == "ocpp2.1"


async def test_before_21_there_is_none_of_it(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.0.1")
    answer = await station.ask("NotifyDERAlarm", {"controlType": "VoltVar", "timestamp": AT})
    assert (answer[0], answer[2]) == (4, "NotImplemented")
    await bench.api("POST", "/stations/CS1/commands/AFRRSignal", {"timestamp": AT, "signal": 1}, status=404)
