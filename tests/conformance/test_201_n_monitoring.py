"""OCPP 2.0.1, N. Diagnostics: monitors and their reports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

EVSE_STATE = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
POWER = {"component": {"name": "EVSE", "evse": {"id": 2, "connectorId": 1}}, "variable": {"name": "Power"}}
CLOCK = {"component": {"name": "ClockCtrlr", "instance": "main"}, "variable": {"name": "Drift", "instance": "x"}}


def wanted(about: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A SetMonitoringDataType."""
    return {"value": 10.5, "type": "UpperThreshold", "severity": 5, **about} | more


def result(asked: dict[str, Any], status: str = "Accepted", **more: Any) -> dict[str, Any]:
    """The SetMonitoringResultType of what was asked."""
    return {name: asked[name] for name in ("type", "severity", "component", "variable")} | {"status": status} | more


async def set_monitors(bench: Bench, station: Station, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> Any:
    """SetVariableMonitoring with what is wanted, answered with the results."""
    asked = {"setMonitoringData": [data for data, _ in pairs]}
    return await bench.exchange(
        station, "SetVariableMonitoring", asked, {"setMonitoringResult": [answer for _, answer in pairs]}
    )


async def listed(bench: Bench, query: str = "") -> list[Any]:
    return list((await bench.api("GET", f"/stations/CS1/monitors{query}"))["items"])


async def numbers(bench: Bench) -> list[int]:
    return [monitor["monitor_id"] for monitor in await listed(bench)]


def reported(about: dict[str, Any], *monitor_ids: int, **more: Any) -> dict[str, Any]:
    """A MonitoringDataType."""
    one = {"transaction": False, "value": 3, "type": "Delta", "severity": 8} | more
    return {**about, "variableMonitoring": [{"id": number, **one} for number in monitor_ids]}


async def report(
    bench: Bench, station: Station, request_id: int, *parts: list[dict[str, Any]], order: tuple[int, ...] = ()
) -> None:
    """NotifyMonitoringReport in parts, in their order or in another."""
    for n in order or range(len(parts)):
        payload = {"requestId": request_id, "seqNo": n, "generatedAt": stamp(), "tbc": n < len(parts) - 1}
        payload |= {"monitor": parts[n]} if parts[n] else {}
        assert await bench.ask(station, "NotifyMonitoringReport", payload) == {}


async def ask_report(bench: Bench, station: Station, body: dict[str, Any], status: str = "Accepted") -> dict[str, Any]:
    """Ask for a report through the API; what the station was asked."""
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/monitoring-reports?wait=30", body))
    call = await bench.expect(station, "GetMonitoringReport")
    await station.answer(call, {"status": status})
    assert (await asked)["state"] == ("accepted" if status == "Accepted" else "refused")
    payload: dict[str, Any] = call[3]
    return payload


async def seen(bench: Bench, request_id: int) -> Any:
    return await bench.api("GET", f"/stations/CS1/monitoring-reports/{request_id}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"criteria": ["ThresholdMonitoring", "DeltaMonitoring"]}, id="TC_N_01-criteria"),
        pytest.param({"component_variables": [POWER]}, id="TC_N_02-component-variable"),
        pytest.param({"criteria": ["PeriodicMonitoring"], "component_variables": [POWER]}, id="TC_N_03-both"),
        pytest.param(
            {"criteria": ["DeltaMonitoring"], "component_variables": [POWER, EVSE_STATE, {"component": {"name": "X"}}]},
            id="TC_N_60-list",
        ),
    ],
)
async def test_a_report_of_some_monitors(bench: Bench, body: dict[str, Any]) -> None:
    station = await bench.connect()
    await set_monitors(bench, station, (wanted(CLOCK), result(wanted(CLOCK), id=1)))
    asked = await ask_report(bench, station, body)
    assert asked.get("monitoringCriteria") == body.get("criteria")
    assert asked.get("componentVariable") == body.get("component_variables")
    await report(bench, station, asked["requestId"], [reported(POWER, 7)], [reported(EVSE_STATE, 8)])
    shown = await seen(bench, asked["requestId"])
    assert (shown["status"], shown["parts"]) == ("Accepted", 2)
    assert shown["completed_at"] is not None
    assert [monitor["monitor_id"] for monitor in shown["monitors"]] == [7, 8]
    assert await numbers(bench) == [1, 7, 8]  # a part of the monitors says nothing of the others


async def test_TC_N_47_a_report_of_all_monitors(bench: Bench) -> None:
    """In parts that come out of order, one of them twice; what it does not name is gone."""
    station = await bench.connect()
    await set_monitors(
        bench, station, (wanted(CLOCK), result(wanted(CLOCK), id=1)), (wanted(POWER), result(wanted(POWER), id=2))
    )
    asked = await ask_report(bench, station, {})
    assert set(asked) == {"requestId"}
    parts = [reported(POWER, 2)], [reported(EVSE_STATE, 8)], [reported(CLOCK, 9, 10)]
    await report(bench, station, asked["requestId"], *parts, order=(2, 0, 0))
    partly = await seen(bench, asked["requestId"])
    assert (partly["parts"], partly["completed_at"]) == (2, None)
    assert await numbers(bench) == [1, 2, 9, 10]
    await report(bench, station, asked["requestId"], *parts, order=(1,))
    assert (await seen(bench, asked["requestId"]))["completed_at"] is not None
    assert await numbers(bench) == [2, 8, 9, 10]
    (power,) = await listed(bench, "?variable=Power")
    assert (power["evse_id"], power["connector_id"], power["type"], power["value"]) == (2, 1, "Delta", "3")
    assert (power["reported"], power["severity"], power["source"]) == (True, 8, "CustomMonitor")


async def test_a_station_without_monitors(bench: Bench) -> None:
    station = await bench.connect()
    await set_monitors(bench, station, (wanted(CLOCK), result(wanted(CLOCK), id=1)))
    await ask_report(bench, station, {"criteria": ["DeltaMonitoring"]}, "EmptyResultSet")
    assert await numbers(bench) == [1]
    asked = await ask_report(bench, station, {}, "EmptyResultSet")
    assert await numbers(bench) == []
    listed_reports = (await bench.api("GET", "/stations/CS1/monitoring-reports"))["items"]
    assert [r["status"] for r in listed_reports] == ["EmptyResultSet"] * 2
    assert listed_reports[0]["request_id"] == asked["requestId"]


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_a_report_is_refused(bench: Bench, status: str) -> None:
    station = await bench.connect()
    asked = await ask_report(bench, station, {}, status)
    shown = await seen(bench, asked["requestId"])
    assert (shown["status"], shown["monitors"], shown["completed_at"]) == (status, [], None)


async def test_a_report_that_nobody_asked_for_is_kept(bench: Bench) -> None:
    station = await bench.connect()
    await report(bench, station, 77, [reported(POWER, 7)])
    shown = await seen(bench, 77)
    assert (shown["status"], shown["request"], len(shown["monitors"])) == (None, None, 1)
    await bench.api("GET", "/stations/CS1/monitoring-reports/78", status=404)


@pytest.mark.parametrize(
    ("base", "left"),
    [
        pytest.param("All", [1, 7], id="TC_N_05-All"),
        pytest.param("FactoryDefault", [7], id="TC_N_05-FactoryDefault"),
        pytest.param("HardWiredOnly", [7], id="TC_N_05-HardWiredOnly"),
    ],
)
async def test_set_monitoring_base(bench: Bench, base: str, left: list[int]) -> None:
    station = await bench.connect()
    await set_monitors(bench, station, (wanted(CLOCK), result(wanted(CLOCK), id=1)))
    await report(bench, station, 77, [reported(POWER, 7)])
    command = await bench.exchange(station, "SetMonitoringBase", {"monitoringBase": base}, {"status": "Accepted"})
    assert command["state"] == "accepted"
    assert (await bench.api("GET", "/stations/CS1/monitoring"))["base"] == base
    assert await numbers(bench) == left
    refused = await bench.exchange(station, "SetMonitoringBase", {"monitoringBase": "All"}, {"status": "Rejected"})
    assert refused["state"] == "refused"
    assert (await bench.api("GET", "/stations/CS1/monitoring"))["base"] == base


async def test_TC_N_08_set_one_monitor(bench: Bench) -> None:
    station = await bench.connect()
    body = {
        "monitors": [
            {"component": "EVSE", "evse_id": 1, "variable": "AvailabilityState", "type": "Delta"}
            | {"value": 1, "severity": 4, "only_in_transaction": True}
        ]
    }
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/monitors?wait=30", body))
    call = await bench.expect(station, "SetVariableMonitoring")
    (data,) = call[3]["setMonitoringData"]
    assert data == {"value": 1, "type": "Delta", "severity": 4, "transaction": True, **EVSE_STATE}
    await station.answer(call, {"setMonitoringResult": [result(data, id=12)]})
    assert [command["state"] for command in (await asked)["items"]] == ["accepted"]
    (monitor,) = await listed(bench)
    assert (monitor["monitor_id"], monitor["component"], monitor["evse_id"]) == (12, "EVSE", 1)
    assert (monitor["only_in_transaction"], monitor["reported"], monitor["source"]) == (True, False, "CustomMonitor")


async def test_TC_N_09_set_several_monitors(bench: Bench) -> None:
    """Answered in another order, with one refused, and with one twice of which one is refused."""
    station = await bench.connect()
    first, second, third = wanted(POWER), wanted(EVSE_STATE), wanted(CLOCK)
    twin = wanted(POWER, value=99)
    asked = {"setMonitoringData": [first, second, third, twin]}
    results = [result(third, id=3), result(second, "UnknownVariable"), result(first, id=1), result(twin, "Duplicate")]
    command = await bench.exchange(station, "SetVariableMonitoring", asked, {"setMonitoringResult": results})
    assert command["state"] == "accepted"
    assert [(m["monitor_id"], m["variable"], m["value"]) for m in await listed(bench)] == [
        (1, "Power", "10.5"),
        (3, "Drift", "10.5"),
    ]
    again = wanted(POWER, id=1, value=20)
    await set_monitors(bench, station, (again, result(again)))  # replaced; its id is known
    assert [(m["monitor_id"], m["value"]) for m in await listed(bench, "?variable=Power")] == [(1, "20")]


@pytest.mark.parametrize(
    "status", ["UnknownComponent", "UnknownVariable", "UnsupportedMonitorType", "Rejected", "Duplicate"]
)
async def test_a_monitor_is_refused(bench: Bench, status: str) -> None:
    station = await bench.connect()
    command = await set_monitors(bench, station, (wanted(POWER), result(wanted(POWER), status)))
    assert command["state"] == "refused"
    assert await listed(bench) == []


async def test_TC_N_16_set_monitoring_level(bench: Bench) -> None:
    station = await bench.connect()
    assert (await bench.api("GET", "/stations/CS1/monitoring"))["level"] is None
    await bench.exchange(station, "SetMonitoringLevel", {"severity": 5}, {"status": "Accepted"})
    assert (await bench.api("GET", "/stations/CS1/monitoring"))["level"] == 5


async def test_TC_N_17_set_monitoring_level_out_of_range(bench: Bench) -> None:
    station = await bench.connect()
    command = await bench.exchange(station, "SetMonitoringLevel", {"severity": 10}, {"status": "Rejected"})
    assert command["state"] == "refused"
    assert (await bench.api("GET", "/stations/CS1/monitoring"))["level"] is None


async def test_TC_N_18_clear_more_monitors_than_fit_one_message(bench: Bench) -> None:
    """Never more at once than the station has told that it takes."""
    station = await bench.connect()
    limit = {"component": {"name": "MonitoringCtrlr"}}
    limit |= {"variable": {"name": "ItemsPerMessage", "instance": "ClearVariableMonitoring"}}
    told = {"attributeStatus": "Accepted", "attributeValue": "2", **limit}
    await bench.exchange(station, "GetVariables", {"getVariableData": [limit]}, {"getVariableResult": [told]})
    await report(bench, station, 77, [reported(POWER, 1, 2, 3, 4, 5, 6)])
    body = {"monitor_ids": [5, 4, 3, 2, 1]}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/monitors/clear?wait=30", body))
    cleared: list[int] = []
    for _ in range(3):
        call = await bench.expect(station, "ClearVariableMonitoring")
        assert 1 <= len(call[3]["id"]) <= 2
        cleared += call[3]["id"]
        results = [{"status": "Accepted", "id": number} for number in call[3]["id"]]
        await station.answer(call, {"clearMonitoringResult": results})
    assert [command["state"] for command in (await asked)["items"]] == ["accepted"] * 3
    assert sorted(cleared) == [1, 2, 3, 4, 5]
    assert await numbers(bench) == [6]


async def test_TC_N_44_clear_monitor_rejected(bench: Bench) -> None:
    """A hard-wired monitor stays; one that the station does not know is gone."""
    station = await bench.connect()
    await report(bench, station, 77, [reported(POWER, 1, 2)])
    results = [{"status": "Rejected", "id": 1}, {"status": "NotFound", "id": 2}]
    command = await bench.exchange(
        station, "ClearVariableMonitoring", {"id": [1, 2]}, {"clearMonitoringResult": results}
    )
    assert command["state"] == "refused"
    assert await numbers(bench) == [1]


@pytest.mark.parametrize(
    "broken",
    [
        {"seqNo": 0, "generatedAt": "2026-01-01T00:00:00Z"},
        {"requestId": "1", "seqNo": 0, "generatedAt": "2026-01-01T00:00:00Z"},
        {"requestId": 1, "seqNo": 0, "generatedAt": "2026-01-01T00:00:00Z", "monitor": []},
        {"requestId": 1, "seqNo": 0, "generatedAt": "2026-01-01T00:00:00Z", "monitor": [{**POWER}]},
    ],
)
async def test_a_broken_report_is_refused(bench: Bench, broken: Any) -> None:
    station = await bench.connect()
    assert (await station.ask("NotifyMonitoringReport", broken))[0] == 4
    assert (await bench.api("GET", "/stations/CS1/monitoring-reports"))["items"] == []
