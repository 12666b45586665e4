"""The station's line to the central system: connects, backs off, sends what is in the outbox, answers calls."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ocpp.exceptions import FormatViolationError, OCPPError
from ocpp.messages import Call, validate_payload
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from simulators.station.dialect import REMOTE_STARTS, Answer
from simulators.station.outbox import Message, Payload, Urgency
from simulators.station.rpc import CallFailedError, Rpc

if TYPE_CHECKING:
    from simulators.station.station import Station


class Line:
    """One station's connection, made anew whenever it is lost while the power and the network are there."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.available = True
        self._rpc: Rpc | None = None
        self._more = asyncio.Event()
        self._again = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_a_row = 0

    @property
    def connected(self) -> bool:
        """Whether a websocket is open."""
        return self._rpc is not None

    def wake(self) -> None:
        """There is something to send."""
        self._more.set()

    def reconsider(self) -> None:
        """The power or the network has returned: connect without waiting for the back-off."""
        self._in_a_row = 0
        self._again.set()

    def restore(self) -> None:
        """The network is back."""
        self.available = True
        self.reconsider()

    async def hang_up(self, *, politely: bool = False) -> None:
        """End the connection: with a closing handshake, or as if the cable were cut. Returns when it is gone."""
        if self._rpc is None:
            return
        if politely:
            await self._rpc.socket.close()
        else:
            self._rpc.socket.transport.abort()
        await self._idle.wait()

    async def close(self) -> None:
        """Hang up for good."""
        self.available = False
        await self.hang_up(politely=True)

    async def send_raw(self, data: bytes | str) -> None:
        """Put anything on the wire. Raises ``ConnectionError`` when there is none."""
        if self._rpc is None:
            raise ConnectionError("offline")
        await self._rpc.send_raw(data)

    async def run(self) -> None:
        """Connect, serve, and begin again."""
        while True:
            if not self._wanted():
                await self._pause(self._again, None)
                continue
            try:
                socket = await self._connect()
            except (OSError, TimeoutError, WebSocketException) as error:
                self.station.changed(f"cannot connect: {error}")
                await self._back_off()
                continue
            if not self._wanted():
                await socket.close()
                continue
            await self._serve(socket)
            if self._wanted():
                await self._back_off()

    def _wanted(self) -> bool:
        return self.available and self.station.powered

    async def _connect(self) -> ClientConnection:
        config = self.station.config
        socket = await connect(
            f"{config.url.rstrip('/')}/{config.identity}",
            subprotocols=[Subprotocol(self.station.dialect.subprotocol)],
            additional_headers=self.station.authorization_header(),
            compression=None,
            ping_interval=self.station.settings.integer("ping_interval_s") or None,
            close_timeout=2,
            proxy=None,
        )
        if socket.subprotocol is None:
            await socket.close()
            raise ConnectionError(f"the server does not speak {self.station.dialect.subprotocol}")
        return socket

    async def _back_off(self) -> None:
        config = self.station.config
        most = min(config.reconnect_most_s, config.reconnect_first_s * 2**self._in_a_row)
        self._in_a_row += 1
        await self._pause(self._again, most * random.uniform(0.75, 1.0))

    @staticmethod
    async def _pause(unless: asyncio.Event, seconds: float | None) -> None:
        """Wait for so many real seconds, or for the event if that comes sooner."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await unless.wait()
        unless.clear()

    async def _serve(self, socket: ClientConnection) -> None:
        config = self.station.config
        rpc = Rpc(
            socket,
            self._observe,
            self._answer,
            timeout_s=config.call_timeout_s,
            small_ids=config.quirks.small_message_ids,
        )
        self._rpc = rpc
        self._idle.clear()
        self.station.connected()
        sending = self.station.spawn(self._send(rpc))
        try:
            await rpc.run()
        finally:
            sending.cancel()
            self._rpc = None
            self._idle.set()
            self.station.disconnected()

    def _observe(self, way: Any, frame: Any) -> None:
        if self.station.config.record:
            self.station.frames.append((way, frame))
        if way == "received":
            self._in_a_row = 0
        named = isinstance(frame, list) and len(frame) > 2 and frame[0] == 2
        self.station.changed(f"{way} {frame[2]} {frame[3]}" if named else None)

    async def _send(self, rpc: Rpc) -> None:
        station = self.station
        while True:
            self._more.clear()
            message = station.outbox.next(station.clock.true_now(), registered=station.registered)
            if message is None:
                retry_at = station.outbox.retry_at() if station.registered else None
                wait = None if retry_at is None else (retry_at - station.clock.true_now()).total_seconds()
                await self._pause(self._more, None if wait is None else station.clock.real_seconds(max(0.0, wait)))
                continue
            try:
                answer = await rpc.call(message.action, message.build())
            except CallFailedError:
                self._failed(message)
            except TimeoutError:
                self._unanswered(message)
            except (ConnectionClosed, ConnectionResetError):
                return  # what is kept is sent again after the next connection; the rest is dropped by then
            else:
                self._answered(message, answer)
            station.changed()

    def _answered(self, message: Message, answer: Payload) -> None:
        loses = self.station.config.quirks.resend_transactions and message.urgency is Urgency.TRANSACTION
        if loses and message.answers_lost == 0:
            message.answers_lost += 1
            return
        self.station.outbox.remove(message)
        if message.on_result is not None:
            message.on_result(answer)

    def _failed(self, message: Message) -> None:
        """A CALLERROR: transaction messages are tried again, later each time, and in the end discarded (1.6 §3.7.1)."""
        message.attempts += 1
        settings = self.station.settings
        last = self._gives_up(message) or message.attempts >= settings.integer("tx_message_attempts")
        if message.urgency is not Urgency.TRANSACTION or last:
            self._discard(message)
            return
        seconds = settings.integer("tx_message_retry_s") * message.attempts
        message.not_before = self.station.clock.true_now() + timedelta(seconds=seconds)

    def _unanswered(self, message: Message) -> None:
        """No answer: a transaction message is sent again, under a new id, until it is answered."""
        if message.urgency is not Urgency.TRANSACTION or self._gives_up(message):
            self._discard(message)

    def _gives_up(self, message: Message) -> bool:
        return self.station.config.quirks.transaction_id_minus_one and message.action == "StartTransaction"

    def _discard(self, message: Message) -> None:
        self.station.outbox.remove(message)
        self.station.changed(f"gave up {message.action}")
        if message.on_failure is not None:
            message.on_failure()

    async def _answer(self, rpc: Rpc, message_id: str, action: str, payload: Payload) -> None:
        station = self.station
        if station.registration.status == "Rejected":
            if station.dialect.while_rejected is None:
                return
            raise CallFailedError(station.dialect.while_rejected, "the boot was rejected")
        if action in station.dialect.handlers:
            await self._check(message_id, action, payload)
        station.settle()
        answer = station.dialect.answer(action, payload)
        if station.config.quirks.call_before_answer:
            await station.request("Heartbeat", {})
        if action in REMOTE_STARTS:
            await self._answer_remote_start(rpc, message_id, answer)
            return
        await rpc.reply(message_id, answer.payload)
        self._then(answer)

    async def _answer_remote_start(self, rpc: Rpc, message_id: str, answer: Answer) -> None:
        quirks = self.station.config.quirks
        if quirks.answer_delay_s:
            await self.station.clock.sleep(quirks.answer_delay_s)
        if quirks.answer_after_event:
            self._then(answer)
            await self.station.drained()
            answer = Answer(answer.payload)
        if not quirks.never_answer_remote_start:
            await rpc.reply(message_id, answer.payload)
        self._then(answer)

    def _then(self, answer: Answer) -> None:
        if answer.then is not None:
            self.station.settle()
            answer.then()
            self.station.changed()

    async def _check(self, message_id: str, action: str, payload: Payload) -> None:
        """Refuse what breaks the schema, as a strict station does."""
        try:
            await validate_payload(Call(message_id, action, payload), self.station.config.version)
        except FormatViolationError as error:
            raise CallFailedError(self.station.dialect.malformed, str(error.description)) from error
        except OCPPError as error:
            raise CallFailedError(error.code, str(error.description)) from error
