"""OCPP-J over one websocket: one outstanding CALL, answers matched by id, calls of the other side answered at once."""

import asyncio
import itertools
import json
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4

Observer = Callable[[str, Any], None]
Answerer = Callable[["Rpc", str, str, dict[str, Any]], Awaitable[None]]


class CallFailedError(Exception):
    """A CALLERROR: received as the answer to a call of ours, or raised by a handler to answer with one."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"not JSON: {value!r}")


class Rpc:
    """One connection's message loop. ``observe`` sees every frame as ("sent" | "received", frame)."""

    def __init__(
        self, socket: ClientConnection, observe: Observer, answer: Answerer, *, timeout_s: float, small_ids: bool
    ) -> None:
        self.socket = socket
        self._observe = observe
        self._answer = answer
        self._timeout_s = timeout_s
        self._ids = itertools.count(1) if small_ids else None
        self._pending: tuple[str, asyncio.Future[dict[str, Any]]] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a CALL and wait for its answer.

        Raises `CallFailedError` for a CALLERROR, ``TimeoutError`` when no answer comes in time, ``ConnectionClosed``.
        """
        if self._pending is not None:
            raise RuntimeError("one outstanding CALL at a time (OCPP-J §4.1.1)")
        message_id = str(next(self._ids)) if self._ids is not None else str(uuid.uuid4())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending = (message_id, future)
        try:
            await self._send([CALL, message_id, action, payload])
            async with asyncio.timeout(self._timeout_s):
                return await future
        finally:
            self._pending = None

    async def reply(self, message_id: str, payload: dict[str, Any]) -> None:
        """Send a CALLRESULT."""
        await self._send([CALL_RESULT, message_id, payload])

    async def refuse(self, message_id: str, failure: CallFailedError) -> None:
        """Send a CALLERROR."""
        await self._send([CALL_ERROR, message_id, failure.code, failure.description, {}])

    async def send_raw(self, data: bytes | str) -> None:
        """Put anything on the wire, as text or as a binary frame."""
        self._observe("sent", data)
        await self.socket.send(data)

    async def run(self) -> None:
        """Read until the connection ends."""
        try:
            async for data in self.socket:
                self._take(data)
        except ConnectionClosed:
            pass  # without a closing handshake: it has ended all the same
        finally:
            if self._pending is not None and not self._pending[1].done():
                future = self._pending[1]
                future.set_exception(ConnectionResetError("connection closed"))
                future.exception()  # the caller may be gone too; then nobody else would look at it
            for task in self._answering:
                task.cancel()

    async def _send(self, frame: list[Any]) -> None:
        text = json.dumps(frame, default=_plain, separators=(",", ":"))
        self._observe("sent", json.loads(text))
        await self.socket.send(text)

    def _take(self, data: str | bytes) -> None:
        try:
            frame = json.loads(data)
        except ValueError:
            frame = None
        self._observe("received", data if frame is None else frame)
        match frame:
            case [2, str(message_id), str(action), dict(payload)]:
                task = asyncio.create_task(self._answer_safely(message_id, action, payload))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case [3, message_id, dict(payload)]:
                self._settle(message_id, payload)
            case [4, message_id, str(code), *rest]:
                self._settle(message_id, CallFailedError(code, str(rest[0]) if rest else ""))
            case _:  # what is not OCPP-J is not answered
                pass

    def _settle(self, message_id: object, outcome: dict[str, Any] | CallFailedError) -> None:
        if self._pending is None or self._pending[0] != message_id or self._pending[1].done():
            return  # an answer that comes too late, or to nothing
        if isinstance(outcome, CallFailedError):
            self._pending[1].set_exception(outcome)
        else:
            self._pending[1].set_result(outcome)

    async def _answer_safely(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        try:
            await self._answer(self, message_id, action, payload)
        except CallFailedError as failure:
            await self.refuse(message_id, failure)
        except ConnectionClosed:
            pass  # the answer has nowhere to go
        except Exception as error:
            await self.refuse(message_id, CallFailedError("InternalError", repr(error)))
            raise
