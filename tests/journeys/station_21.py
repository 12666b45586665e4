"""A 2.1 station made of bare frames, for journeys: it keeps our calls, and sends what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.ocpp.dialect import stamp
from tests.journeys.stage import PATIENCE_S, Stage
from tests.wire.station import assert_valid_answer, assert_valid_call

REGISTER = "Energy.Active.Import.Register"


class Station21:
    """Every frame either way is judged by the `ocpp` package's own schemas."""

    def __init__(self, on: Stage, socket: ClientConnection) -> None:
        self._on = on
        self._socket = socket
        self._ids = count(1)
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._calls: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._seq = count()

    async def read(self) -> None:
        """Take in what comes; settings are accepted at once."""
        async for text in self._socket:
            frame = orjson.loads(text)
            if frame[0] != 2:
                self._answers.pop(frame[1]).set_result(frame)
                continue
            assert_valid_call("2.1", frame[2], frame[3])
            if frame[2] == "GetVariables":
                results = [
                    {"attributeStatus": "UnknownVariable", "component": one["component"], "variable": one["variable"]}
                    for one in frame[3]["getVariableData"]
                ]
                await self.answer(frame, {"getVariableResult": results})
            elif frame[2] == "SetVariables":
                results = [
                    {"attributeStatus": "Accepted", "component": one["component"], "variable": one["variable"]}
                    for one in frame[3]["setVariableData"]
                ]
                await self.answer(frame, {"setVariableResult": results})
            else:
                await self._calls.put(frame)

    async def ask(self, action: str, payload: dict[str, Any]) -> Any:
        """A CALL; the payload of its CALLRESULT."""
        assert_valid_call("2.1", action, payload)
        message_id = str(next(self._ids))
        answer = self._answers[message_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(orjson.dumps([2, message_id, action, payload]).decode())
        frame = await asyncio.wait_for(answer, PATIENCE_S)
        assert frame[0] == 3, frame
        assert_valid_answer("2.1", action, frame[2])
        return frame[2]

    async def expect(self, action: str) -> list[Any]:
        """The system's next CALL."""
        call = await asyncio.wait_for(self._calls.get(), PATIENCE_S)
        assert call[2] == action, call
        return call

    async def answer(self, call: list[Any], payload: dict[str, Any]) -> None:
        """Answer a CALL."""
        await self._socket.send(orjson.dumps([3, call[1], payload]).decode())

    async def boot(self) -> None:
        """Boot, and be free."""
        booted = await self.ask(
            "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        )
        assert booted["status"] == "Accepted"
        now = stamp(self._on.app.clock.now())
        status = {"timestamp": now, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
        await self.ask("StatusNotification", status)

    async def event(
        self, kind: str, trigger: str, *, wh: int | None = None, info: dict[str, Any] | None = None, **more: Any
    ) -> Any:
        """A TransactionEvent of transaction TX-1 at EVSE 1, now; its answer. ``wh``: the register."""
        now = stamp(self._on.app.clock.now())
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": now,
            "triggerReason": trigger,
            "seqNo": next(self._seq),
            "transactionInfo": {"transactionId": "TX-1", "chargingState": "Charging", **(info or {})},
            "evse": {"id": 1, "connectorId": 1},
            **more,
        }
        if wh is not None:
            payload["meterValue"] = [{"timestamp": now, "sampledValue": [{"value": wh, "measurand": REGISTER}]}]
        return await self.ask("TransactionEvent", payload)


@contextlib.asynccontextmanager
async def station_21(on: Stage, station_id: str = "CP") -> AsyncIterator[Station21]:
    """A booted station."""
    async with connect(f"{on.app.ocpp_url}/{station_id}", subprotocols=[Subprotocol("ocpp2.1")]) as socket:
        station = Station21(on, socket)
        reading = asyncio.create_task(station.read())
        try:
            await station.boot()
            yield station
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
