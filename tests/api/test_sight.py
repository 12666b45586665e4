"""Frames, connections, uptime and findings, as operators see them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from tests.conformance.bench import Bench
from tests.databases import Databases


async def test_every_frame_is_logged_and_can_be_searched(bench: Bench) -> None:
    station = await bench.connect()
    await bench.ask(station, "Heartbeat", {})
    await bench.exchange(station, "ClearCache", {}, {"status": "Accepted"})
    await station.socket.send("not JSON")
    await station.next_answer()
    seen = (await bench.api("GET", "/stations/CS1/messages"))["items"]
    assert [(f["direction"], f["kind"], f["action"]) for f in reversed(seen)] == [
        ("in", "call", "BootNotification"),
        ("out", "result", "BootNotification"),
        ("in", "call", "Heartbeat"),
        ("out", "result", "Heartbeat"),
        ("out", "call", "ClearCache"),
        ("in", "result", "ClearCache"),
        ("in", "malformed", None),
        ("out", "error", None),
    ]
    assert seen[1]["body"] == "not JSON"
    assert seen[1]["size"] == len("not JSON")
    (found,) = (await bench.api("GET", "/stations/CS1/messages?contains=Accepted&action=ClearCache"))["items"]
    assert json.loads(found["body"])[2] == {"status": "Accepted"}
    assert (await bench.api("GET", "/stations/CS1/messages?until=2020-01-01T00:00:00Z"))["items"] == []


async def test_pages_of_frames_lose_and_repeat_nothing(bench: Bench) -> None:
    station = await bench.connect()
    for _ in range(5):
        await bench.ask(station, "Heartbeat", {})
    seen: list[int] = []
    cursor = ""
    while True:
        page = await bench.api("GET", f"/stations/CS1/messages?limit=5{cursor}")
        seen += [f["frame_id"] for f in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&after={page['next']}"
    assert len(seen) == len(set(seen)) == 12
    assert seen == sorted(seen, reverse=True)
    await bench.api("GET", "/stations/CS1/messages?after=rubbish", status=400)


async def test_secrets_and_card_numbers_are_masked(bench: Bench) -> None:
    station = await bench.connect()
    payload = {
        "configurationSlot": 1,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://csms.example",
            "messageTimeout": 30,
            "securityProfile": 1,
            "ocppInterface": "Wired0",
            "apn": {"apn": "a", "apnAuthentication": "CHAP", "apnPassword": "a-long-password"},
        },
    }
    pan = "4111" + "1111" * 3
    await bench.exchange(station, "SetNetworkProfile", payload, {"status": "Accepted"})
    await bench.ask(station, "DataTransfer", {"vendorId": "x", "data": pan})
    seen = json.dumps(await bench.api("GET", "/stations/CS1/messages"))
    assert "SetNetworkProfile" in seen
    assert "a-long-password" not in seen
    assert pan not in seen


async def test_frames_are_followed_live_and_a_station_can_be_left_out_of_the_log(bench: Bench) -> None:
    station = await bench.connect()
    await bench.api("PATCH", "/stations/CS1", {"log_frames": False})
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/stations/CS1/messages/stream"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as stream:
        assert stream.status == 200
        assert await stream.content.readuntil(b"\n\n") == b": following\n\n"
        await bench.ask(station, "Heartbeat", {})
        events = [await stream.content.readuntil(b"\n\n") for _ in range(2)]
    shown: list[dict[str, Any]] = [json.loads(event.decode().split("data: ", 1)[1]) for event in events]
    assert [(s["direction"], s["kind"], s["action"]) for s in shown] == [
        ("in", "call", "Heartbeat"),
        ("out", "result", "Heartbeat"),
    ]
    logged = (await bench.api("GET", "/stations/CS1/messages"))["items"]
    assert {f["action"] for f in logged} == {"BootNotification"}


async def test_a_live_follower_does_not_hold_up_the_end(databases: Databases) -> None:
    from tests.conformance.bench import bench as running_bench

    async with running_bench(databases.fresh("sqlite")) as bench:
        await bench.connect()
        url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/stations/CS1/messages/stream"
        stream = await bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"})
        await stream.content.readuntil(b"\n\n")
        async with asyncio.timeout(30):
            await bench.app.stop()
            while await stream.content.readline():
                pass
        bench.app.stop = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    """Stopped already."""


async def test_connections_are_remembered(bench: Bench) -> None:
    first = await bench.connect(version="ocpp1.6")
    await first.socket.close(1001, "going away")
    await bench.eventually(
        lambda: bench.api("GET", "/stations/CS1/connections"), lambda page: page["items"][0]["closed_at"]
    )
    await bench.connect()
    newer, older = (await bench.api("GET", "/stations/CS1/connections"))["items"]
    assert (older["version"], older["epoch"], older["reason"]) == ("ocpp1.6", 1, "1001 going away")
    assert (newer["version"], newer["epoch"], newer["closed_at"]) == ("ocpp2.0.1", 2, None)
    assert newer["remote_address"] == "127.0.0.1"


async def test_uptime_of_each_evse(bench: Bench) -> None:
    station = await bench.connect()
    for evse_id, status in ((1, "Available"), (2, "Faulted"), (1, "Available")):
        now = datetime.now(UTC).isoformat()
        payload = {"timestamp": now, "connectorStatus": status, "evseId": evse_id, "connectorId": 1}
        await bench.ask(station, "StatusNotification", payload)
    shown = await bench.eventually(
        lambda: bench.api("GET", "/stations/CS1/uptime"), lambda u: u["evses"] and u["evses"][1]["observed_s"] >= 1
    )
    up, down = shown["evses"]
    assert (up["evse_id"], up["ratio"], up["faulted_s"]) == (1, 1.0, 0)
    assert (down["evse_id"], down["ratio"], down["up_s"]) == (2, 0.0, 0)
    await bench.api("GET", "/stations/CS1/uptime?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", status=400)


async def test_findings_per_station_and_per_firmware(bench: Bench) -> None:
    station = await bench.connect()
    for _ in range(2):
        await station.send(3, "nobody-asked", {})
    await bench.ask(station, "Heartbeat", {})
    (found,) = (await bench.api("GET", "/findings?station_id=CS1"))["items"]
    assert (found["code"], found["model"], found["firmware_version"]) == ("unexpected-answer", "Model", "1.0")
    assert (await bench.api("GET", "/findings?model=Other"))["items"] == []
    (summary,) = (await bench.api("GET", "/findings/summary"))["items"]
    assert (summary["code"], summary["stations"], summary["vendor"]) == ("unexpected-answer", 1, "Vendor")
