"""A small scripted central system on a real websocket, for the tests of the station simulator."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ocpp.messages import Call, CallResult, validate_payload
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from simulators.station import SimClock, Station, StationConfig
from simulators.station.config import Version

Answer = dict[str, Any] | str | None
"""A payload; a CALLERROR code; or None: never answered."""


@dataclass
class Central:
    """Answers what a central system must; ``script`` answers an action instead."""

    version: Version
    url: str = ""
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    frames: list[tuple[str, Any]] = field(default_factory=list)
    script: dict[str, Callable[[dict[str, Any]], Answer]] = field(default_factory=dict)
    connections: int = 0
    passwords: list[bytes | None] = field(default_factory=list)
    socket: ServerConnection | None = None
    server: Server | None = None
    _pending: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _transactions: Any = field(default_factory=lambda: itertools.count(100))

    async def command(self, action: str, payload: dict[str, Any], timeout_s: float = 10.0) -> Any:
        """Send a CALL; returns the payload, or the list of a CALLERROR."""
        assert self.socket is not None
        message_id = f"c{next(self._ids)}"
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[message_id] = future
        await self._send([2, message_id, action, payload])
        return await asyncio.wait_for(future, timeout_s)

    async def _send(self, frame: list[Any]) -> None:
        assert self.socket is not None
        self.frames.append(("central", frame))
        await self.socket.send(json.dumps(frame))

    async def serve(self, socket: ServerConnection) -> None:
        self.connections += 1
        self.socket = socket
        try:
            async for data in socket:
                await self._take(data)
        except ConnectionClosed:
            pass

    async def _take(self, data: str | bytes) -> None:
        try:
            frame = json.loads(data)
        except ValueError:
            self.frames.append(("station", data))
            return
        self.frames.append(("station", frame))
        if frame[0] == 2:
            _, message_id, action, payload = frame
            self.calls.append((message_id, action, payload))
            answer = self.script.get(action, self._usual(action))(payload)
            if isinstance(answer, str):
                await self._send([4, message_id, answer, "", {}])
            elif answer is not None:
                await self._send([3, message_id, answer])
        elif frame[1] in self._pending:
            self._pending.pop(frame[1]).set_result(frame[2] if frame[0] == 3 else frame)

    def _usual(self, action: str) -> Callable[[dict[str, Any]], Answer]:
        return lambda payload: self.usual(action)

    def usual(self, action: str) -> dict[str, Any]:
        """What a central system that agrees with everything says."""
        token = "idTagInfo" if self.version == "1.6" else "idTokenInfo"
        now = "2026-11-23T00:00:00Z"
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": now, "interval": 86400}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {token: {"status": "Accepted"}}
            case "StartTransaction":
                return {"transactionId": next(self._transactions), token: {"status": "Accepted"}}
            case _:
                return {}

    def actions(self) -> list[str]:
        return [action for _, action, _ in self.calls]

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for _, name, payload in self.calls if name == action]

    def check_password(self, _: ServerConnection, request: Request) -> Response | None:
        header = request.headers.get("Authorization")
        password = None if header is None else base64.b64decode(header.split()[1]).split(b":", 1)[1]
        self.passwords.append(password)
        return None if password != b"wrong" else Response(HTTPStatus.UNAUTHORIZED, "Unauthorized", request.headers)


@asynccontextmanager
async def central_system(version: Version, port: int = 0) -> AsyncIterator[Central]:
    central = Central(version)
    subprotocol: Any = "ocpp1.6" if version == "1.6" else "ocpp2.0.1"
    async with serve(
        central.serve, "127.0.0.1", port, subprotocols=[subprotocol], process_request=central.check_password
    ) as server:
        central.server = server
        host, port, *_ = next(iter(server.sockets)).getsockname()
        central.url = f"ws://{host}:{port}/ocpp"
        yield central


@asynccontextmanager
async def booted_station(central: Central, speed: float = 600, **config: Any) -> AsyncIterator[Station]:
    """A station that has booted; 600 simulated seconds pass in a real one unless told otherwise.

    On leaving, every frame that it sent is checked against the `ocpp` package's schemas.
    """
    wiring: dict[str, Any] = {"identity": "CP1", "url": central.url, "version": central.version}
    async with Station(StationConfig(**wiring, clock=SimClock(speed), **config)) as station:
        await station.wait_for(lambda s: s.booted.is_set())
        await station.wait_for(lambda s: len(s.sent("StatusNotification")) >= len(s.evses))
        yield station
    assert await check_frames(station) > 0


async def check_frames(station: Station) -> int:
    """How many payloads the station sent; each fits its schema, or ``ocpp`` raises."""
    actions = {f[1]: f[2] for way, f in station.frames if way == "received" and isinstance(f, list) and f[0] == 2}
    checked = 0
    for way, frame in station.frames:
        if way != "sent" or not isinstance(frame, list) or frame[0] == 4:
            continue
        message = Call(*frame[1:]) if frame[0] == 2 else CallResult(frame[1], frame[2], action=actions[frame[1]])
        await validate_payload(message, station.config.version)
        checked += 1
    return checked
