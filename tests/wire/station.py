"""A station made of bare frames, and the server it talks to: both on a real socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from ocpp.messages import Call, CallResult, _validate_payload
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from csms.ocpp.connection import Connection
from csms.ocpp.options import OcppOptions
from csms.ocpp.server import OcppServer
from csms.ocpp.station_port import OcppStationPort
from tests.wire.inbox import MemoryDirectory, RecordingInbox

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
#: The client's own log shows its password by design; it is no part of the system.
_SILENT = logging.Logger("station", logging.CRITICAL + 1)
OPEN_S = 30.0  # for a handshake: on a busy machine a password's hash takes its time


def basic(user: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def assert_valid_answer(version: str, action: str, payload: dict[str, Any]) -> None:
    """Judged by the `ocpp` package itself, not by the code under test.

    Its validators are cached, some made for floats and some for decimals: only it knows which.
    """
    _validate_payload(CallResult("", payload, action), version.removeprefix("ocpp"))


def assert_valid_call(version: str, action: str, payload: dict[str, Any]) -> None:
    """See `assert_valid_answer`."""
    _validate_payload(Call("", action, payload), version.removeprefix("ocpp"))


@dataclass
class Station:
    """The far end of one line. Calls that arrive while it waits for an answer are kept for `next_call`."""

    socket: ClientConnection
    station_id: str = ""

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._calls: deque[list[Any]] = deque()
        self._answers: deque[list[Any]] = deque()
        self._refusals: deque[list[Any]] = deque()

    @property
    def version(self) -> str:
        """The negotiated one."""
        return str(self.socket.subprotocol)

    async def send(self, *frame: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps(frame))

    async def ask(self, action: str, payload: Any) -> list[Any]:
        """Send a CALL; its CALLRESULT or CALLERROR."""
        message_id = f"m{next(self._ids)}"
        await self.send(2, message_id, action, payload)
        answer = await self.next_answer()
        assert answer[1] == message_id
        return answer

    async def answer(self, call: list[Any], payload: dict[str, Any]) -> None:
        """Answer a CALL of the central system."""
        await self.send(3, call[1], payload)

    async def calls_so_far(self) -> list[list[Any]]:
        """Every CALL that was sent before now: an answer asked for now comes after them."""
        await self.ask("Heartbeat", {})
        return list(self._calls)

    async def next_answer(self) -> list[Any]:
        """The next CALLRESULT or CALLERROR."""
        while not self._answers:
            await self._read()
        return self._answers.popleft()

    async def next_refusal(self) -> list[Any]:
        """The next CALLRESULTERROR (2.1): an answer of this station could not be used."""
        while not self._refusals:
            await self._read()
        return self._refusals.popleft()

    async def next_call(self, patience_s: float | None = 30) -> list[Any]:
        """The next CALL of the central system. ``patience_s`` None: wait for ever."""
        while not self._calls:
            await self._read(patience_s)
        return self._calls.popleft()

    async def closed(self) -> tuple[int, str]:
        """Wait for the end of the line; its code and reason."""
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code or 0, self.socket.close_reason or ""

    async def _read(self, patience_s: float | None = 30) -> None:
        async with asyncio.timeout(patience_s):
            frame = json.loads(await self.socket.recv())
        {2: self._calls, 5: self._refusals}.get(frame[0], self._answers).append(frame)


class Central:
    """An `OcppServer` that listens, and what stands behind it."""

    def __init__(self, options: OcppOptions, now: datetime = NOW) -> None:
        self.inbox = RecordingInbox()
        self.directory = MemoryDirectory()
        self.server = OcppServer(options, self.inbox, self.directory, lambda: now)
        self.stations = OcppStationPort(self.server)
        self._lines = AsyncExitStack()

    def url(self, path: str, profile: int = 1) -> str:
        """The address of ``path`` at the door of a security profile."""
        return f"{'ws' if profile == 1 else 'wss'}://127.0.0.1:{self.server.ports[profile]}/ocpp/{path}"

    async def connect(
        self,
        path: str = "CP1",
        *versions: str,
        authorization: str | None = None,
        register: bool = True,
        profile: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> Station:
        """Connect a station; by default one that is on file, accepted and without a password.

        ``profile``: at which door; ``tls``: what it brings to the doors 2 and 3.
        """
        if register and path not in self.directory.stations:
            self.directory.add(path)
        socket = await self._lines.enter_async_context(
            connect(
                self.url(path, profile),
                ssl=tls,
                subprotocols=[Subprotocol(version) for version in versions or ("ocpp1.6",)],
                additional_headers={"Authorization": authorization} if authorization is not None else None,
                compression=None,
                max_size=None,
                open_timeout=OPEN_S,
                logger=_SILENT,
                proxy=None,
            )
        )
        return Station(socket)

    async def line(self, station_id: str = "CP1") -> Connection:
        """The server's end of a station's line, once it is open."""
        await self.inbox.until(lambda: any(getattr(f, "station_id", "") == station_id for f in self.inbox.facts))
        while station_id not in self.server.connections:
            await asyncio.sleep(0)
        return self.server.connections[station_id]

    async def close_lines(self) -> None:
        """Hang up all stations."""
        await self._lines.aclose()


@asynccontextmanager
async def running(options: OcppOptions | None = None, now: datetime = NOW) -> AsyncIterator[Central]:
    """A central system on a free port, for which it is always ``now``."""
    central = Central(options or OcppOptions(), now)
    await central.server.start()
    try:
        yield central
    finally:
        await central.server.stop()
        await central.close_lines()
