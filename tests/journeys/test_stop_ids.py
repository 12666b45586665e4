"""A StopTransaction whose id is −1, 0 or unknown is answered as valid, and matched by what it says (EC 37, bar 5)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.ocpp.dialect import stamp
from sessions.tables import Charging
from tests.journeys.stage import PATIENCE_S, Stage, stage


class HandStation:
    """A 1.6 station played by hand: it takes every setting and every remote start."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self.tags: asyncio.Queue[str] = asyncio.Queue()
        self._count = 0

    async def read(self) -> None:
        async for text in self._socket:
            frame = orjson.loads(text)
            if frame[0] == 2:
                await self._socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]).decode())
                if frame[2] == "RemoteStartTransaction":
                    await self.tags.put(frame[3]["idTag"])
            else:
                self._answers[frame[1]].set_result(frame)

    async def call(self, action: str, **payload: Any) -> dict[str, Any]:
        self._count += 1
        message_id = str(self._count)
        answer = self._answers[message_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(orjson.dumps([2, message_id, action, payload]).decode())
        frame = await asyncio.wait_for(answer, PATIENCE_S)
        assert frame[0] == 3, frame
        result: dict[str, Any] = frame[2]
        return result


async def started(on: Stage, station: HandStation, connector: int, meter_start: int) -> int:
    """Tap at the connector's terminal; the station starts a transaction."""
    await on.tap(f"T{connector}", f"visa-{connector}")
    tag = await asyncio.wait_for(station.tags.get(), PATIENCE_S)
    now = stamp(on.app.clock.now())
    answer = await station.call(
        "StartTransaction", connectorId=connector, idTag=tag, meterStart=meter_start, timestamp=now
    )
    assert answer["idTagInfo"]["status"] == "Accepted"
    return int(answer["transactionId"])


@pytest.mark.parametrize("wrong_id", [-1, 0, 424_242])
async def test_a_stop_with_a_wrong_id_is_matched(database_url: str, wrong_id: int) -> None:
    async with (
        stage(database_url) as on,
        connect(f"{on.app.ocpp_url}/CP", subprotocols=[Subprotocol("ocpp1.6")]) as socket,
    ):
        station = HandStation(socket)
        reading = asyncio.create_task(station.read())
        boot = await station.call("BootNotification", chargePointVendor="V", chargePointModel="M")
        assert boot["status"] == "Accepted"
        # Two run; only the second one's register fits what the stop says.
        first = await started(on, station, 1, 5_000_000)
        second = await started(on, station, 2, 1_000)
        assert first != second
        now = stamp(on.app.clock.now())
        stop = {"transactionId": wrong_id, "meterStop": 1_250, "timestamp": now, "reason": "Local"}
        await station.call("StopTransaction", **stop)
        session = await on.session(lambda s: s.receipt_due, 1)
        assert session.captured_minor == session.meter.energy_wh == 250
        assert (await on.sessions())[0].charging is Charging.CHARGING
        # The same again, under a new message id: answered, and nothing changes.
        await station.call("StopTransaction", **stop)
        assert [r.charged_minor for r in await on.receipts()] == [250]
        await station.call("StopTransaction", transactionId=first, meterStop=5_000_100, timestamp=now)
        assert (await on.session(lambda s: s.receipt_due, 0)).captured_minor == 100
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
