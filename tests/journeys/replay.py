"""Play the station's side of a recorded file against the running system, remote starts and stops included.

What the central system chose when the file was recorded (id tags, transaction ids, remote start ids) is replaced by
what ours chooses; everything else is sent as the station sent it, in its order.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.ocpp.schemas import response_problems
from sessions.clock import ManualClock
from tests.journeys.stage import PATIENCE_S, Stage

CAPTURES = Path(__file__).parent.parent / "captures"
_STARTS = ("RemoteStartTransaction", "RequestStartTransaction")
_STOPS = ("RemoteStopTransaction", "RequestStopTransaction")


def lines(name: str) -> list[dict[str, Any]]:
    """The file's lines."""
    return [orjson.loads(line) for line in (CAPTURES / name).read_bytes().splitlines()]


def beginning(recorded: list[dict[str, Any]]) -> datetime:
    """The moment at which the file's time is 0, from the first time the central system told."""
    for line in recorded:
        told = line.get("frame", [0, 0, {}])[2] if line.get("from") == "csms" and line["frame"][0] == 3 else {}
        if isinstance(told, dict) and "currentTime" in told:
            return datetime.fromisoformat(told["currentTime"]) - timedelta(seconds=line["t"])
    raise AssertionError("the file tells no time")


class Replay:
    """One file on one stage."""

    def __init__(self, stage: Stage, recorded: list[dict[str, Any]], clock: ManualClock) -> None:
        self.stage = stage
        self._lines = recorded
        self._clock = clock
        self._begin = beginning(recorded)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._calls: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._ours: dict[str, str] = {}  # recorded message id of a csms call → ours
        self._replaced: dict[Any, Any] = {}  # recorded id tag / transaction id / remote start id → ours
        self._version = ""
        self._cards = 0
        self.refused_taps = 0
        self.answers: list[tuple[str, list[Any]]] = []

    async def play(self) -> None:
        """Play the whole file."""
        try:
            for line in self._lines:
                await self._clock.set(self._begin + timedelta(seconds=line["t"]))
                if line.get("event") == "connect":
                    await self._connect(line)
                elif line.get("event") == "close":
                    await self._close()
                elif line["from"] == "station":
                    await self._from_station(line["frame"])
                elif line["frame"][0] == 2:
                    await self._from_csms(line["frame"])
        finally:
            await self._close()

    async def _connect(self, line: dict[str, Any]) -> None:
        self._version = line["subprotocol"]
        identity = line["path"].rsplit("/", 1)[1]
        url = f"{self.stage.app.ocpp_url}/{identity}"
        self._socket = await connect(url, subprotocols=[Subprotocol(self._version)], compression=None)
        self._reader = asyncio.create_task(self._read(self._socket))

    async def _close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async for text in socket:
                frame = orjson.loads(text)
                if frame[0] != 2:
                    self._answers.pop(frame[1]).set_result(frame)
                elif frame[2] in {"GetConfiguration", "GetVariables"}:
                    await socket.send(orjson.dumps([3, frame[1], _configured(frame)]).decode())
                else:
                    await self._calls.put(frame)

    async def _from_station(self, frame: list[Any]) -> None:
        assert self._socket is not None
        if frame[0] != 2:
            ours = self._ours.pop(frame[1], None)
            if ours is not None:  # else: an answer to a call that our system had no reason to make
                await self._socket.send(orjson.dumps([frame[0], ours, *self._mapped(frame[2:])]).decode())
            return
        mapped = [2, frame[1], frame[2], self._mapped(frame[3])]
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[frame[1]] = answer
        await self._socket.send(orjson.dumps(mapped).decode())
        reply = await asyncio.wait_for(answer, PATIENCE_S)
        assert reply[0] == 3, f"{frame[2]} was answered {reply}"
        assert response_problems(self._version, frame[2], reply[2]) == [], f"{frame[2]} was answered {reply[2]}"
        self.answers.append((frame[2], reply))
        if frame[2] == "StartTransaction":
            recorded = next(
                line["frame"] for line in self._lines if line.get("from") == "csms" and line["frame"][1] == frame[1]
            )
            self._replaced[recorded[2]["transactionId"]] = reply[2]["transactionId"]

    async def _from_csms(self, frame: list[Any]) -> None:
        _, message_id, action, payload = frame
        if action in _STARTS:
            self._cards += 1
            evse = payload.get("connectorId", payload.get("evseId"))
            await self._tap(f"T{evse}", f"visa-{self._cards}")
            call = await self._next_call(f"T{evse}")
            if call is None:
                self.refused_taps += 1
                return
            assert call[2] == action
            self._ours[message_id] = call[1]
            token, ours = payload.get("idToken"), call[3].get("idToken")
            if token is not None:
                self._replaced[token["idToken"]] = ours["idToken"]
                self._replaced[payload["remoteStartId"]] = call[3]["remoteStartId"]
            else:
                self._replaced[payload["idTag"]] = call[3]["idTag"]
        elif action in _STOPS:
            session = (await self.stage.sessions())[-1]
            await self._tap(str(session.terminal_serial), f"visa-{self._cards}")
            call = await self._next_call(str(session.terminal_serial))
            assert call is not None, "no remote stop was sent"
            assert call[2] == action
            assert call[3]["transactionId"] == self._mapped(payload)["transactionId"]
            self._ours[message_id] = call[1]

    async def _tap(self, serial: str, card: str) -> None:
        await self.stage.tap(serial, card)

    async def _next_call(self, serial: str) -> list[Any] | None:
        """Our system's next call, or None if the tap was refused: the reader is armed again and nothing was held."""
        call = asyncio.ensure_future(self._calls.get())
        refused = asyncio.ensure_future(self._refused(serial))
        done, _ = await asyncio.wait({call, refused}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        for task in (call, refused):
            task.cancel()
        await asyncio.gather(call, refused, return_exceptions=True)
        assert done, "neither a call nor a refusal"
        return call.result() if call in done else None

    async def _refused(self, serial: str) -> None:
        await self.stage.cloud.wait_for(lambda c: "Out of order" in c.terminal(serial).message, PATIENCE_S)

    def _mapped(self, value: Any) -> Any:
        if isinstance(value, dict):
            ids = {"idTag", "idToken", "transactionId", "remoteStartId"}
            return {
                key: self._replaced.get(item, item) if key in ids and not isinstance(item, dict) else self._mapped(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._mapped(item) for item in value]
        return value


def _configured(frame: list[Any]) -> dict[str, Any]:
    """A station that has none of the variables it is asked for."""
    if frame[2] == "GetConfiguration":
        return {"configurationKey": [], "unknownKey": frame[3]["key"]}
    results = [
        {"attributeStatus": "UnknownVariable", "component": data["component"], "variable": data["variable"]}
        for data in frame[3]["getVariableData"]
    ]
    return {"getVariableResult": results}
