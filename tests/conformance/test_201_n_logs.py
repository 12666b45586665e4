"""OCPP 2.0.1, N. Diagnostics: logs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.files import LOG, download
from tests.wire.station import Station


async def ask(bench: Bench, station: Station, body: dict[str, Any], answer: dict[str, Any]) -> tuple[Any, Any]:
    """Ask for a log through the API and let the station answer; the transfer, and what the station was asked."""
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/logs?wait=30", body, status=201))
    call = await bench.expect(station, "GetLog")
    await station.answer(call, answer)
    return await asked, call[3]


async def tell(bench: Bench, station: Station, request_id: int, *statuses: str) -> None:
    for status in statuses:
        assert await bench.ask(station, "LogStatusNotification", {"status": status, "requestId": request_id}) == {}


async def seen(bench: Bench, made: Any) -> Any:
    return await bench.api("GET", f"/transfers/{made['transfer_id']}")


@pytest.mark.parametrize(
    "log_type",
    [pytest.param("DiagnosticsLog", id="TC_N_25"), pytest.param("SecurityLog", id="TC_N_35")],
)
async def test_a_log_is_retrieved(bench: Bench, log_type: str) -> None:
    station = await bench.connect()
    oldest, latest = stamp(), stamp()
    body = {"log_type": log_type, "oldest": oldest, "latest": latest, "retries": 3, "retry_interval_s": 60}
    made, asked = await ask(bench, station, body, {"status": "Accepted", "filename": "station.log"})
    assert (asked["logType"], asked["retries"], asked["retryInterval"]) == (log_type, 3, 60)
    assert (asked["log"]["oldestTimestamp"], asked["log"]["latestTimestamp"]) == (oldest, latest)
    assert (made["state"], made["file_name"], made["kind"]) == ("accepted", "station.log", "log")
    await tell(bench, station, asked["requestId"], "Uploading")
    async with bench.http.put(asked["log"]["remoteLocation"], data=LOG) as upload:
        assert upload.status == 201
    await tell(bench, station, asked["requestId"], "Uploaded")
    shown = await seen(bench, made)
    assert (shown["state"], [said["status"] for said in shown["progress"]]) == ("completed", ["Uploading", "Uploaded"])
    assert await download(bench, made["transfer_id"]) == LOG


async def test_TC_N_34_rejected(bench: Bench) -> None:
    station = await bench.connect()
    made, _ = await ask(bench, station, {}, {"status": "Rejected"})
    assert (made["state"], made["upload"]) == ("refused", None)


async def test_TC_N_36_a_second_request_cancels_the_first(bench: Bench) -> None:
    station = await bench.connect()
    first, one = await ask(bench, station, {}, {"status": "Accepted", "filename": "1.log"})
    await tell(bench, station, one["requestId"], "Uploading")
    second, two = await ask(bench, station, {}, {"status": "AcceptedCanceled", "filename": "2.log"})
    assert one["requestId"] != two["requestId"]
    assert (await seen(bench, first))["state"] == "canceled"
    await tell(bench, station, one["requestId"], "AcceptedCanceled")
    await tell(bench, station, two["requestId"], "Uploading", "Uploaded")
    assert [(await seen(bench, made))["state"] for made in (first, second)] == ["canceled", "completed"]


@pytest.mark.parametrize("status", ["UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"])
async def test_an_upload_fails_and_may_succeed_later(bench: Bench, status: str) -> None:
    station = await bench.connect()
    made, asked = await ask(bench, station, {}, {"status": "Accepted", "filename": "1.log"})
    await tell(bench, station, asked["requestId"], "Uploading", status)
    failed = await seen(bench, made)
    assert (failed["state"], failed["status"]) == ("failed", status)
    await tell(bench, station, asked["requestId"], "Uploading")
    again = await seen(bench, made)
    assert (again["state"], again["ended_at"]) == ("accepted", None)
    await tell(bench, station, asked["requestId"], "Uploaded")
    assert (await seen(bench, made))["state"] == "completed"


async def test_no_log_at_all(bench: Bench) -> None:
    station = await bench.connect()
    made, _ = await ask(bench, station, {}, {"status": "Accepted"})
    assert made["state"] == "empty"


async def test_a_log_type_that_the_version_has_not(bench: Bench) -> None:
    await bench.connect()
    refused = await bench.api("POST", "/stations/CS1/logs", {"log_type": "DataCollectorLog"}, status=422)
    assert refused["errors"] == [{"field": "logType", "detail": "breaks enum"}]
    assert (await bench.api("GET", "/transfers"))["items"] == []
