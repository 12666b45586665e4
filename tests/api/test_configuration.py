"""Configuration as desired state: applied after boot, drift noticed and repaired, refusals told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from sessions.clock import ManualClock
from storage import device_model_schema as t
from storage.engine import reading
from tests.conformance.bench import Bench, bench
from tests.wire.station import Station

BUILT_IN = 7
DAY_S = 24 * 3600


class Configurable:
    """A station's settings: answers what reads and writes them. ``refuses``: name → status."""

    def __init__(self, station: Station, **values: str) -> None:
        self.station = station
        self.values = {name.replace("__", "."): value for name, value in values.items()}
        self.refuses: dict[str, str] = {}
        self.written: list[tuple[str, str]] = []

    async def serve(self) -> None:
        while True:
            call = await self.station.next_call(patience_s=None)
            await self.station.answer(call, getattr(self, call[2])(call[3]))

    def GetVariables(self, request: Any) -> Any:
        results = []
        for data in request["getVariableData"]:
            value = self.values.get(f"{data['component']['name']}.{data['variable']['name']}")
            status = {"attributeStatus": "Accepted", "attributeValue": value} if value is not None else {}
            results.append(data | (status or {"attributeStatus": "UnknownVariable"}))
        return {"getVariableResult": results}

    def SetVariables(self, request: Any) -> Any:
        (data,) = request["setVariableData"]
        name = f"{data['component']['name']}.{data['variable']['name']}"
        status = self._set(name, data["attributeValue"])
        return {"setVariableResult": [{k: data[k] for k in ("component", "variable")} | {"attributeStatus": status}]}

    def GetConfiguration(self, request: Any) -> Any:
        found = [{"key": k, "readonly": False, "value": self.values[k]} for k in request["key"] if k in self.values]
        return {"configurationKey": found, "unknownKey": [k for k in request["key"] if k not in self.values]}

    def ChangeConfiguration(self, request: Any) -> Any:
        return {"status": self._set(request["key"], request["value"])}

    def _set(self, name: str, value: str) -> str:
        self.written.append((name, value))
        status = self.refuses.get(name, "Accepted")
        if status == "Accepted":
            self.values[name] = value
        return status


@contextlib.asynccontextmanager
async def serving(running: Bench, version: str, **values: str) -> AsyncIterator[Configurable]:
    """A booted station with settings of its own."""
    station = await running.connect(version=version, boot=False)
    made = Configurable(station, **values)
    task = asyncio.create_task(made.serve())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


BOOT = {
    "ocpp1.6": {"chargePointVendor": "Vendor", "chargePointModel": "Model"},
    "ocpp2.0.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}},
}


async def boot(running: Bench, made: Configurable) -> None:
    """Boot while settings are served: the answer is waited for by the same line, so it is only sent."""
    await made.station.send(2, f"boot-{len(made.written)}", "BootNotification", BOOT[made.station.version])


async def checked(running: Bench, count: int, until: Any = lambda _: True) -> dict[str, Any]:
    def done(found: Any) -> bool:
        return len(found["checked"]) == count and bool(
            until({f"{c['component']}.{c['variable']}": c for c in found["checked"]})
        )

    found = await running.eventually(lambda: running.api("GET", "/stations/CS1/configuration"), done)
    return {f"{c['component']}.{c['variable']}": c for c in found["checked"]}


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


INTERVAL = "SampledDataCtrlr.TxUpdatedInterval"
KEYS = {
    "ocpp1.6": {"MeterValueSampleInterval": "900", "ConnectionTimeOut": "120", "ClockAlignedDataInterval": "900"},
    "ocpp2.0.1": {INTERVAL: "900", "TxCtrlr.EVConnectionTimeOut": "120", "TxCtrlr.StopTxOnEVSideDisconnect": "False"},
}


async def test_only_what_differs_is_set_after_a_boot(database_url: str, version: str) -> None:
    async with bench(database_url, ocpp={"configure_stations": True}) as running:
        pending = (await running.api("GET", "/stations/CS1/configuration"))["pending"]
        async with serving(running, version) as made:
            made.values = dict(KEYS[version])
            await boot(running, made)
            found = await checked(running, BUILT_IN if version == "ocpp2.0.1" else BUILT_IN + 1)
    assert {"variable": INTERVAL, "value": "60"} in pending
    wanted = [("MeterValueSampleInterval", "60"), ("ClockAlignedDataInterval", "0")]
    if version == "ocpp2.0.1":
        wanted = [(INTERVAL, "60"), ("TxCtrlr.StopTxOnEVSideDisconnect", "true")]
    assert made.written == wanted
    assert found[INTERVAL]["status"] == found["TxCtrlr.EVConnectionTimeOut"]["status"] == "in_force"
    assert found["SampledDataCtrlr.TxEndedMeasurands"]["status"] == "unknown"


async def test_drift_is_noticed_and_repaired(database_url: str, version: str) -> None:
    async with bench(database_url, ocpp={"configure_stations": True}) as running, serving(running, version) as made:
        made.values = dict(KEYS[version])
        count = BUILT_IN if version == "ocpp2.0.1" else BUILT_IN + 1
        await boot(running, made)
        await checked(running, count)
        name = next(iter(KEYS[version]))
        made.values[name] = "333"  # somebody was at the station
        await running.api("POST", "/stations/CS1/configuration/apply", status=202)
        found = await checked(running, count, lambda by: by[INTERVAL]["drifts"] == 1)
        assert made.values[name] == "60"
        assert found[INTERVAL]["status"] == "in_force"
        assert "333" in found[INTERVAL]["detail"]


async def test_a_station_that_was_away_is_checked_when_it_is_time_again(database_url: str, version: str) -> None:
    """It came back without a boot: nothing but the time tells that it is to be looked at."""
    clock = ManualClock(datetime.now(UTC))
    async with bench(database_url, clock=clock, ocpp={"configure_stations": True}) as running:
        async with serving(running, version) as made:
            made.values = dict(KEYS[version])
            count = BUILT_IN if version == "ocpp2.0.1" else BUILT_IN + 1
            await boot(running, made)
            await checked(running, count)
            values = made.values
        await made.station.socket.close()
        await running.eventually(lambda: running.api("GET", "/stations/CS1"), lambda shown: not shown["connected"])
        waiting = await next_check(running)
        await clock.advance(DAY_S + 1)
        await running.eventually(lambda: next_check(running), lambda due: due != waiting)
        async with serving(running, version) as back:
            name = next(iter(KEYS[version]))
            back.values = values | {name: "333"}
            await running.eventually(lambda: running.api("GET", "/stations/CS1"), lambda shown: shown["connected"])
            await clock.advance(DAY_S + 1)
            await checked(running, count, lambda by: by[INTERVAL]["drifts"] == 1)
            assert back.values[name] == "60"


async def next_check(running: Bench) -> str:
    """The key of CS1's regular check."""
    async with reading(running.app.engine) as connection:
        return str((await connection.execute(select(t.configuration_checks.c.next_key))).scalar_one())


async def test_what_a_station_refuses_is_told(database_url: str, version: str) -> None:
    async with bench(database_url, ocpp={"configure_stations": True}) as running, serving(running, version) as made:
        made.values = dict(KEYS[version])
        interval, timeout, *_ = KEYS[version]
        made.values[timeout] = "1"
        made.refuses = {interval: "Rejected", timeout: "RebootRequired"}
        await boot(running, made)
        found = await checked(running, BUILT_IN if version == "ocpp2.0.1" else BUILT_IN + 1)
        assert (found[INTERVAL]["status"], found[INTERVAL]["detail"]) == ("refused", "Rejected")
        assert found["TxCtrlr.EVConnectionTimeOut"]["status"] == "reboot_pending"
        (finding,) = (await running.api("GET", "/findings?code=configuration-refused"))["items"]
        assert finding["detail"] == f"{INTERVAL} = 60: Rejected"


async def test_the_more_special_template_wins(database_url: str) -> None:
    async with bench(database_url, ocpp={"configure_stations": True}) as running:
        for scope, name, value in (
            ("station", "CS1", "10"),
            ("all", "", "20"),
            ("model", "Model", "15"),
            ("vendor", "Other", "99"),
        ):
            entry = {"component": "SampledDataCtrlr", "variable": "TxUpdatedInterval", "value": value}
            body = {"scope": scope, "name": name, "variables": [entry]}
            await running.api("POST", "/configuration-templates", body, status=201)
        async with serving(running, "ocpp2.0.1") as made:
            made.values = {INTERVAL: "900"}
            await boot(running, made)
            await checked(running, BUILT_IN)
            assert made.written == [(INTERVAL, "10")]


async def test_templates_are_edited_without_overwriting_each_other(database_url: str) -> None:
    async with bench(database_url) as running:
        entry = {"component": "AuthCtrlr", "variable": "LocalPreAuthorize", "value": "true"}
        body = {"scope": "site", "name": "North", "variables": [entry]}
        made = await running.api("POST", "/configuration-templates", body, status=201)
        path = f"/configuration-templates/{made['template_id']}"
        changed = body | {"variables": [entry | {"value": "false"}]}
        await running.api("PUT", path, changed, status=428)
        assert (await running.api("PUT", path, changed, headers={"If-Match": '"1"'}))["revision"] == 2
        await running.api("PUT", path, body, status=412, headers={"If-Match": '"1"'})
        secret = body | {"variables": [entry | {"variable": "BasicAuthPassword"}]}
        assert "password" in str(await running.api("POST", "/configuration-templates", secret, status=422))
        await running.api("POST", "/configuration-templates", body | {"scope": "all"}, status=422)
        await running.api("DELETE", path, status=204, headers={"If-Match": '"2"'})
        await running.api("GET", path, status=404)


async def test_a_station_that_is_not_there_is_not_configured(database_url: str) -> None:
    async with bench(database_url) as running:
        await running.api("POST", "/stations/CS1/configuration/apply", status=409)
