"""The device model from outside: 2.0.1 B. Provisioning (variables, reports), 1.6 configuration keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.bench import bench as running_bench
from tests.databases import Databases


def name(component: str, variable: str, **evse: int) -> dict[str, Any]:
    made: dict[str, Any] = {"name": component}
    return {"component": made | ({"evse": evse} if evse else {}), "variable": {"name": variable}}


HEARTBEAT = name("OCPPCommCtrlr", "HeartbeatInterval")
OFFLINE = name("OCPPCommCtrlr", "OfflineThreshold")
UNKNOWN = name("UnknownCtrlr", "Nothing")


def read(which: dict[str, Any], value: str | None, status: str = "Accepted") -> dict[str, Any]:
    return which | {"attributeStatus": status} | ({"attributeValue": value} if value is not None else {})


async def known(bench: Bench) -> dict[str, str | None]:
    shown = (await bench.api("GET", "/stations/CS1/variables"))["items"]
    return {f"{v['component']}.{v['variable']}": v["value"] for v in shown}


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([HEARTBEAT], id="TC_B_06-single"),
        pytest.param([HEARTBEAT, OFFLINE, UNKNOWN], id="TC_B_07-multiple"),
    ],
)
async def test_get_variables(bench: Bench, asked: list[dict[str, Any]]) -> None:
    station = await bench.connect()
    results = [
        read(which, None, "UnknownComponent") if which is UNKNOWN else read(which, str(60 * n))
        for n, which in enumerate(asked, 1)
    ]
    command = await bench.exchange(station, "GetVariables", {"getVariableData": asked}, {"getVariableResult": results})
    assert command["state"] == "accepted"
    expected = {"OCPPCommCtrlr.HeartbeatInterval": "60"}
    assert await known(bench) == expected | ({"OCPPCommCtrlr.OfflineThreshold": "120"} if len(asked) > 1 else {})


async def test_TC_B_08_get_variables_no_more_than_the_station_takes(databases: Databases) -> None:
    """A station that takes one at a time refuses more; what is wanted of it is then asked for one by one."""
    async with running_bench(databases.fresh("sqlite"), ocpp={"configure_stations": True}) as bench:
        station = await bench.connect()
        refused: list[dict[str, Any]] = []
        alone: list[dict[str, Any]] = []

        async def take_one_at_a_time() -> None:
            while True:
                call = await bench.expect(station, "GetVariables")
                data = call[3]["getVariableData"]
                if len(data) > 1:
                    refused.extend(data)
                    await station.send(4, call[1], "OccurrenceConstraintViolation", "too many", {})
                else:
                    alone.extend(data)
                    await station.answer(call, {"getVariableResult": [read(data[0], None, "UnknownVariable")]})

        answering = asyncio.create_task(take_one_at_a_time())
        shown = await bench.eventually(
            lambda: bench.api("GET", "/stations/CS1/configuration"), lambda found: found["checked"]
        )
        answering.cancel()
        assert len(refused) > 1
        assert [one for one in refused if one not in alone] == []
        assert {c["status"] for c in shown["checked"]} == {"unknown"}


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([HEARTBEAT], id="TC_B_09-single"),
        pytest.param([HEARTBEAT, OFFLINE, UNKNOWN], id="TC_B_10-multiple"),
    ],
)
async def test_set_variables(bench: Bench, asked: list[dict[str, Any]]) -> None:
    station = await bench.connect()
    data = [which | {"attributeValue": str(60 * n)} for n, which in enumerate(asked, 1)]
    statuses = {id(UNKNOWN): "UnknownComponent", id(OFFLINE): "RebootRequired"}
    results = [which | {"attributeStatus": statuses.get(id(which), "Accepted")} for which in asked]
    command = await bench.exchange(station, "SetVariables", {"setVariableData": data}, {"setVariableResult": results})
    assert command["state"] == "accepted"
    assert await known(bench) == {"OCPPCommCtrlr.HeartbeatInterval": "60"}  # a reboot is to come for the other


def part(request_id: int, seq_no: int, last: bool, *names: str) -> dict[str, Any]:
    data = [
        name("ChargingStation", which)
        | {
            "variableAttribute": [{"value": which.lower(), "mutability": "ReadOnly"}],
            "variableCharacteristics": {"dataType": "string", "supportsMonitoring": False},
        }
        for which in names
    ]
    return {"requestId": request_id, "generatedAt": stamp(), "seqNo": seq_no, "tbc": not last, "reportData": data}


async def report(bench: Bench) -> Any:
    (shown,) = (await bench.api("GET", "/stations/CS1/reports"))["items"]
    return shown["kind"], shown["parts"], shown["variables"], shown["complete"]


@pytest.mark.parametrize(
    "base",
    [
        pytest.param("ConfigurationInventory", id="TC_B_12"),
        pytest.param("FullInventory", id="TC_B_13"),
        pytest.param("SummaryInventory", id="TC_B_14"),
    ],
)
async def test_get_a_base_report_in_parts(bench: Bench, base: str) -> None:
    station = await bench.connect()
    await bench.exchange(station, "GetBaseReport", {"requestId": 5, "reportBase": base}, {"status": "Accepted"})
    assert await report(bench) == (base, 0, 0, False)
    last, middle, first = part(5, 2, True, "D"), part(5, 1, False, "C"), part(5, 0, False, "A", "B")
    for payload in (last, first, first):  # out of order, and one of them twice
        assert await bench.ask(station, "NotifyReport", payload) == {}
    assert await report(bench) == (base, 2, 3, False)
    await bench.ask(station, "NotifyReport", middle)
    assert await report(bench) == (base, 3, 4, True)
    assert await known(bench) == {f"ChargingStation.{n}": n.lower() for n in "ABCD"}
    (described, *_) = (await bench.api("GET", "/stations/CS1/variables?variable=A"))["items"]
    assert (described["mutability"], described["characteristics"]["dataType"]) == ("ReadOnly", "string")


async def test_a_report_that_is_refused_is_none(bench: Bench) -> None:
    station = await bench.connect()
    request = {"requestId": 5, "reportBase": "SummaryInventory"}
    assert (await bench.exchange(station, "GetBaseReport", request, {"status": "NotSupported"}))["state"] == "refused"
    assert (await bench.api("GET", "/stations/CS1/reports"))["items"] == []


async def test_TC_B_18_get_a_custom_report(bench: Bench) -> None:
    station = await bench.connect()
    request = {
        "requestId": 6,
        "componentCriteria": ["Problem"],
        "componentVariable": [name("EVSE", "Available", id=1)],
    }
    await bench.exchange(station, "GetReport", request, {"status": "Accepted"})
    await bench.ask(station, "NotifyReport", part(6, 0, True, "A"))
    assert await report(bench) == ("custom", 1, 1, True)


async def test_passwords_are_not_kept(bench: Bench) -> None:
    station = await bench.connect()
    secret = name("SecurityCtrlr", "BasicAuthPassword")
    results = {"getVariableResult": [read(secret, "not-to-be-kept-anywhere")]}
    await bench.exchange(station, "GetVariables", {"getVariableData": [secret]}, results)
    assert await known(bench) == {"SecurityCtrlr.BasicAuthPassword": None}


# --- 1.6 --------------------------------------------------------------------------------------------------------------


def key(which: str, value: str, readonly: bool = False) -> dict[str, Any]:
    return {"key": which, "readonly": readonly, "value": value}


async def test_TC_019_1_retrieve_all_configuration_keys(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/variables/refresh?wait=30"))
    call = await bench.expect(station, "GetConfiguration")
    assert call[3] == {}
    keys = [key("HeartbeatInterval", "300"), key("NumberOfConnectors", "2", readonly=True), key("VendorsOwn", "x")]
    await station.answer(call, {"configurationKey": keys})
    assert (await asked)["state"] == "accepted"
    assert await known(bench) == {
        "OCPPCommCtrlr.HeartbeatInterval": "300",
        "ConfigurationKey.NumberOfConnectors": "2",
        "ConfigurationKey.VendorsOwn": "x",
    }


async def test_TC_019_2_retrieve_a_specific_configuration_key(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    answer = {"configurationKey": [key("ConnectionTimeOut", "60")], "unknownKey": ["Nothing"]}
    request = {"key": ["ConnectionTimeOut", "Nothing"]}
    command = await bench.exchange(station, "GetConfiguration", request, answer)
    assert command["response"] == answer
    assert await known(bench) == {"TxCtrlr.EVConnectionTimeOut": "60"}


@pytest.mark.parametrize(
    ("status", "state", "kept"),
    [
        pytest.param("Accepted", "accepted", {"SampledDataCtrlr.TxUpdatedInterval": "30"}, id="TC_021"),
        pytest.param("RebootRequired", "accepted", {}, id="TC_021-reboot"),
        pytest.param("NotSupported", "refused", {}, id="TC_040_1"),
        pytest.param("Rejected", "refused", {}, id="TC_040_2-invalid-value"),
    ],
)
async def test_change_configuration(bench: Bench, status: str, state: str, kept: dict[str, str]) -> None:
    station = await bench.connect(version="ocpp1.6")
    request = {"key": "MeterValueSampleInterval", "value": "30"}
    command = await bench.exchange(station, "ChangeConfiguration", request, {"status": status})
    assert command["state"] == state
    assert await known(bench) == kept
