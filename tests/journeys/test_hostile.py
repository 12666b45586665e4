"""Strangers at every door (bar 6): refused with a reason; the others go on; no secret, no card number is kept."""

from __future__ import annotations

import base64
import io
import logging
import random
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from sqlalchemy import make_url, select
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from billing.pan import contains_pan
from simulators.station import Station, StationConfig
from storage import schema as t
from storage.engine import reading
from tests.databases import Databases
from tests.journeys.stage import PATIENCE_S, Stage, stage

PASSWORD = "hostile-station-password"
SECRETS = ("s" * 40, "k" * 40, "test-key", PASSWORD, base64.b64encode(f"CP:{PASSWORD}".encode()).decode())


def a_card_number() -> str:
    """A number that passes for a card's, made when it is needed: none is written down here."""
    body = "4" + "".join(random.choice("0123456789") for _ in range(14))
    total = sum(sum(divmod(int(d) * 2, 10)) if n % 2 == 0 else int(d) for n, d in enumerate(reversed(body)))
    return body + str(-total % 10)


async def station_socket(on: Stage, **headers: Any) -> ClientConnection:
    basic = base64.b64encode(f"CP:{PASSWORD}".encode()).decode()
    return await connect(
        f"{on.app.ocpp_url}/CP",
        subprotocols=[Subprotocol(headers.pop("subprotocol", "ocpp1.6"))],
        additional_headers={"Authorization": f"Basic {basic}"} | headers,
        compression=None,
    )


async def ask(socket: ClientConnection, frame: Any) -> Any:
    """Send a frame, return the next answer to a call of ours (the system's own calls are passed over)."""
    await socket.send(frame if isinstance(frame, str) else orjson.dumps(frame).decode())
    while True:
        answer = orjson.loads(await socket.recv())
        if answer[0] != 2:
            return answer


async def test_nothing_gets_through(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "websockets.client")  # the attacker's own log
    url = databases.fresh("sqlite")
    pan = a_card_number()
    assert contains_pan(pan)
    async with stage(url, password=PASSWORD, ocpp={"unknown_stations": "accept"}) as on:
        good = StationConfig(identity="GOOD", url=on.app.ocpp_url, version="1.6", evses=1, boot_s=0.1)
        async with Station(good) as bystander:
            await bystander.wait_for(lambda s: s.booted.is_set(), PATIENCE_S)
            await _hostile_station(on, pan)
            await _hostile_cloud(on, pan)
            await bystander.plug(1)
            await bystander.drained()
            assert bystander.online
        async with reading(on.app.engine) as connection:
            for table in (t.journal.c.fact, t.station_events.c.payload, t.findings.c.detail, t.sessions.c.state):
                assert not any(contains_pan(text) for text in (await connection.execute(select(table))).scalars())
    path = Path(str(make_url(url).database))
    for file in (path, path.with_name(path.name + "-wal")):
        if file.exists():
            assert pan.encode() not in file.read_bytes()
    assert pan not in caplog.text
    for secret in SECRETS:
        assert secret not in caplog.text, "a secret is in the log"


async def _hostile_station(on: Stage, pan: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await station_socket(on, Authorization="Basic " + base64.b64encode(b"CP:wrong").decode())
    assert refused.value.response.status_code == 401
    assert b"password" in (refused.value.response.body or b"")
    with pytest.raises(InvalidStatus) as refused:
        await station_socket(on, subprotocol="ocpp9.9")
    assert refused.value.response.status_code == 400
    assert b"ocpp2.0.1" in (refused.value.response.body or b"")

    socket = await station_socket(on)
    answer = await ask(socket, [2, "1", "Authorize", {"idTag": pan}])
    assert answer[0] == 3
    assert answer[2]["idTagInfo"]["status"] == "Invalid"
    start = {"connectorId": 1, "idTag": pan, "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
    assert (await ask(socket, [2, "2", "StartTransaction", start]))[2]["idTagInfo"]["status"] == "Invalid"
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": f"card {pan}"}
    assert (await ask(socket, [2, "3", "StatusNotification", status]))[0] == 3
    assert (await ask(socket, [2, "4", "DataTransfer", {"vendorId": "x", "data": pan}]))[0] == 3
    assert (await ask(socket, [2, "5", pan, {}]))[2] == "NotImplemented"
    nested = "[" * 200 + "]" * 200
    assert (await ask(socket, f'[2,"6","Heartbeat",{{"a":{nested}}}]'))[0] == 4
    assert (await ask(socket, [2, "7", "StatusNotification", {"connectorId": "x"}]))[0] == 4
    await socket.send("this is not JSON " + pan)
    await socket.send("[" * 100_000)
    assert (await ask(socket, [2, "8", "Heartbeat", {}]))[0] == 3
    with pytest.raises(ConnectionClosed) as closed:
        await ask(socket, "x" * 10_000_000)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def _hostile_cloud(on: Stage, pan: str) -> None:
    base = f"http://127.0.0.1:{on.app.http_port}"
    secret = "s" * 40
    await on.armed("T1")
    arm = await on.app.directory.latest_arm("T1")
    assert arm is not None
    card = {"serialNumber": "T1", "cardId": pan, "maskedPan": pan, "ifd": "CONTACTLESS"}
    async with aiohttp.ClientSession() as http:
        for path in (f"/callbacks/payter/{'x' * 40}/{arm.arm_id}/card", f"/callbacks/payter/{secret}/unknown-arm/card"):
            async with http.post(base + path, json=card) as answer:
                assert answer.status == 404
        good = f"{base}/callbacks/payter/{secret}/{arm.arm_id}/card"
        for body in (b"not json", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"cardId": 7, "maskedPan": []}'):
            async with http.post(good, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status < 500
        async with http.post(good, data=io.BytesIO(b"x" * 10_000_000)) as answer:
            assert answer.status == 413
        async with http.post(good, json=card) as answer:
            assert answer.status < 500
        async with http.get(f"{base}/r/{'A' * 32}") as answer:
            assert answer.status == 404
        async with http.get(f"{base}/r/..%2f..%2fetc%2fpasswd") as answer:
            assert answer.status == 404
        async with http.get(f"{base}/healthz") as answer:
            assert answer.status == 200
