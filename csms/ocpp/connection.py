"""One station's line: frames in, answers out, one outstanding call of ours at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed

from csms.ocpp import frames
from csms.ocpp.dialect import Payload, StationContext, Unusable
from csms.ocpp.options import OcppOptions
from csms.ocpp.schemas import Problem, actions, request_problems, response_problems, send_problems
from csms.ocpp.versions import Dialect

log = logging.getLogger(__name__)

#: So many characters count as one more message: the longest frames take a tenth of a second to read and to judge.
LONG = 4_096

#: Of so many answers of ours the action is remembered, in case the station cannot use one (2.1, CALLRESULTERROR).
ANSWERS_REMEMBERED = 20

_CODES = {
    "type": "TypeConstraintViolation",
    "required": "OccurrenceConstraintViolation",
    "additionalProperties": "FormatViolation",
}


#: What a station that waits for approval may send besides its boot: what we asked it for (2.0.1 B02.FR.09).
_BRINGS = {"GetBaseReport": "NotifyReport", "GetReport": "NotifyReport"}


@dataclass(frozen=True, slots=True)
class Answered:
    """The station answered our call."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Errored:
    """The station answered our call with a CALLERROR."""

    code: str
    description: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """The line was closed before our call was sent."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Sent, and no answer came: it may have taken effect."""

    reason: str


Reply = Answered | Errored | NotSent | NoAnswer


#: Told of every frame that passes: station id, in | out, kind, text, message id, action.
Note = Callable[[str, str, str, str, str | None, str | None], None]


def nobody(*_: object) -> None:
    """A `Note` for a line that nobody watches."""


class Connection:
    """A websocket with a station that negotiated ``dialect``."""

    def __init__(
        self,
        ctx: StationContext,
        dialect: Dialect,
        options: OcppOptions,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int, str], Awaitable[None]],
        note: Note = nobody,
    ) -> None:
        self.ctx = ctx
        self.version = dialect.version
        self.epoch = 0
        self.replaced = False
        self._dialect = dialect
        self._says_result_errors = frames.CALL_RESULT_ERROR in dialect.kinds
        self._options = options
        self._transmit = send
        self._note = note
        self._close = close
        self._turn = asyncio.Lock()  # one outstanding CALL, in order
        self._outstanding: tuple[str, str, asyncio.Future[Reply]] | None = None
        self._gone = asyncio.Event()
        self._answered: deque[tuple[str, str]] = deque(maxlen=ANSWERS_REMEMBERED)  # message id, action
        self._bad_frames = 0
        self._invited = {"BootNotification"}
        self._tokens = float(options.burst)
        self._refilled = time.monotonic()

    # --- ours to the station ------------------------------------------------------------------------------------------

    async def call(
        self, action: str, payload: Payload, *, on_send: Callable[[], Awaitable[object]] | None = None
    ) -> Reply:
        """Send a CALL and wait for its answer, after the ones before it. ValueError for a payload that is not valid.

        ``on_send`` is awaited when it is this call's turn, before it is sent.
        """
        problems = request_problems(self.version, action, payload)
        if problems:
            raise ValueError(f"{action} is not valid {self.version}: {'; '.join(map(str, problems))}")
        async with self._turn:
            if self._gone.is_set():
                return NotSent()
            if on_send is not None:
                await on_send()
            message_id = str(uuid.uuid4())
            reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._outstanding = (message_id, action, reply)
            self._invited.add(_brings(action, payload))
            try:
                await self._send("call", frames.call(message_id, action, payload), message_id, action)
                async with asyncio.timeout(self._options.call_timeout_s):
                    return await reply
            except TimeoutError:
                return NoAnswer("timeout")
            except ConnectionClosed:
                return NoAnswer("connection lost")
            finally:
                self._outstanding = None

    def close(self) -> None:
        """The line is gone: whoever waits for an answer hears it now, and nothing more is taken from it."""
        self._gone.set()
        if self._outstanding is not None and not self._outstanding[2].done():
            self._outstanding[2].set_result(NoAnswer("connection lost"))

    # --- the station to us --------------------------------------------------------------------------------------------

    async def receive(self, raw: str | bytes) -> None:
        """Take one message in. Whatever it is, this returns; a line that only sends garbage is closed."""
        await self._slow_down(1 + len(raw) // LONG)
        if self._gone.is_set():
            return
        if isinstance(raw, bytes):
            await self._malformed(frames.Malformed("a binary message; OCPP-J is text"))
            return
        frame = frames.parse(raw, self._dialect.kinds)
        match frame:
            case frames.Call():
                self._seen("call", raw, frame.message_id, frame.action)
                await self._answer(frame)
            case frames.CallResult():
                self._seen("result", raw, frame.message_id, self._asked(frame.message_id))
                await self._reply(frame)
            case frames.CallError():
                self._seen("error", raw, frame.message_id, self._asked(frame.message_id))
                await self._reply(frame)
            case frames.CallResultError():
                action = next((action for known, action in self._answered if known == frame.message_id), "")
                self._seen("result-error", raw, frame.message_id, action or None)
                await self.ctx.finding("answer-refused", f"{frame.code}: {frame.description}", action)
            case frames.Send():
                self._seen("send", raw, frame.message_id, frame.action)
                await self._take(frame)
            case frames.Malformed():
                self._seen("malformed", raw, frame.message_id, None)
                await self._malformed(frame)

    def _seen(self, kind: str, raw: str, message_id: str | None, action: str | None) -> None:
        self._note(self.ctx.station_id, "in", kind, raw, message_id, action)

    def _asked(self, message_id: str) -> str | None:
        """The action of our outstanding call, if that is what ``message_id`` answers."""
        waiting = self._outstanding
        return waiting[1] if waiting is not None and waiting[0] == message_id else None

    async def _send(self, kind: str, text: str, message_id: str, action: str | None) -> None:
        self._note(self.ctx.station_id, "out", kind, text, message_id, action)
        await self._transmit(text)

    async def _refuse(self, message_id: str, code: str, description: str, action: str | None = None) -> None:
        text = frames.call_error(message_id, self._dialect.error_code(code), description)
        await self._send("error", text, message_id, action)

    async def _refuse_answer(self, message_id: str, code: str, description: str, action: str | None) -> None:
        """2.1 part 2 FR.06: an answer that breaks its schema is answered."""
        text = frames.call_result_error(message_id, code, description)
        await self._send("result-error", text, message_id, action)

    async def _slow_down(self, messages: int) -> None:
        """A flood waits here, in its own station's read loop; the others do not notice."""
        now = time.monotonic()
        self._tokens = min(
            float(self._options.burst), self._tokens + (now - self._refilled) * self._options.messages_per_s
        )
        self._refilled = now
        self._tokens -= messages
        if self._tokens < 0:
            await self.ctx.finding("flood", f"more than {self._options.messages_per_s:g} messages a second")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(-self._tokens / self._options.messages_per_s):
                    await self._gone.wait()

    async def _malformed(self, frame: frames.Malformed) -> None:
        self._bad_frames += 1
        await self.ctx.finding("malformed-frame", frame.reason)
        if frame.kind == frames.CALL_RESULT and frame.message_id is not None:
            self._unusable(frame.message_id)
        if frame.kind == frames.SEND:
            pass  # nobody waits for an answer to it
        elif frame.kind == frames.CALL_RESULT and self._says_result_errors and frame.message_id is not None:
            await self._refuse_answer(frame.message_id, frame.code, frame.reason, self._asked(frame.message_id))
        elif frame.kind == frames.CALL and frame.message_id is not None:
            await self._refuse(frame.message_id, frame.code, frame.reason)
        elif self.version != "ocpp1.6":
            await self._refuse("-1", frame.code, frame.reason)  # 2.0.1 part 4 §4.2.3
        if self._bad_frames >= self._options.bad_frames:
            await self._close(1008, "too many malformed frames")

    def _unusable(self, message_id: str) -> None:
        """The answer to our call is none that can be read: whoever waits need not do so until the timeout."""
        waiting = self._outstanding
        if waiting is not None and waiting[0] == message_id and not waiting[2].done():
            waiting[2].set_result(NoAnswer("its answer could not be read"))

    async def _reply(self, frame: frames.CallResult | frames.CallError) -> None:
        waiting = self._outstanding
        if waiting is None or waiting[0] != frame.message_id:
            await self.ctx.finding("unexpected-answer", "an answer to no outstanding call, or too late")
            return
        _, action, reply = waiting
        if reply.done():
            return
        if isinstance(frame, frames.CallError):
            reply.set_result(Errored(frame.code, frame.description))
            return
        # The waiting call hears it first; what is wrong with it is written down after.
        reply.set_result(Answered(frame.payload))
        problems = response_problems(self.version, action, frame.payload)
        if problems:
            await self.ctx.finding("answer-invalid", _described(problems), action)
            if self._says_result_errors:
                await self._refuse_answer(frame.message_id, _code(problems), _described(problems), action)

    async def _take(self, send: frames.Send) -> None:
        """A message that nobody answers: what is wrong with it is only written down."""
        message = self._dialect.sends.get(send.action)
        if message is None or self.ctx.held:
            why = "waits for an operator's approval" if message else "sent what is not sent without an answer"
            # Not an action that it made up: there are as many findings as it has different ones.
            await self.ctx.finding("send-refused", f"this station {why}", send.action if message else "")
            return
        problems = send_problems(self.version, send.action, send.payload)
        if problems:
            await self.ctx.finding("schema", _described(problems), send.action)
            return
        try:
            await message.taker(self.ctx, send.payload)
        except Exception:
            log.exception("station %s: %s could not be stored", self.ctx.station_id, send.action)

    async def _answer(self, call: frames.Call) -> None:
        message = self._dialect.answers.get(call.action)
        if message is None:
            known = call.action in actions(self.version)
            code = "NotSupported" if known else "NotImplemented"
            what = "is not for a central system to answer" if known else "is not an action of this version"
            await self._refuse(call.message_id, code, f"{call.action[:40]} {what}", call.action)
            return
        if self.ctx.held and call.action not in self._invited:
            reason = "this station waits for an operator's approval"
            await self._refuse(call.message_id, "SecurityError", reason, call.action)
            return
        problems = request_problems(self.version, call.action, call.payload)
        if problems and not message.tolerant:
            await self.ctx.finding("schema", _described(problems), call.action)
            await self._refuse(call.message_id, _code(problems), _described(problems), call.action)
            return
        try:
            if self.ctx.held and call.action == "BootNotification":
                await self.ctx.look_again()
            answer = await message.handler(self.ctx, call.payload)
        except Unusable as unusable:
            await self.ctx.finding("unusable", str(unusable), call.action)
            code = _code(problems) if problems else "PropertyConstraintViolation"
            await self._refuse(call.message_id, code, str(unusable), call.action)
            return
        except Exception:
            # Not stored: say so, and the station sends it again.
            log.exception("station %s: %s could not be handled", self.ctx.station_id, call.action)
            await self._refuse(call.message_id, "InternalError", "not stored; please send it again", call.action)
            return
        if problems:
            await self.ctx.finding("schema", _described(problems), call.action)
        self._answered.append((call.message_id, call.action))
        await self._send("result", frames.call_result(call.message_id, answer), call.message_id, call.action)


def _brings(action: str, payload: Payload) -> str:
    """The station's message that our call asks for; empty if it asks for none."""
    wanted = payload.get("requestedMessage") if action in {"TriggerMessage", "ExtendedTriggerMessage"} else None
    if wanted is None:
        return _BRINGS.get(action, "")
    return "SignCertificate" if str(wanted).startswith("Sign") else str(wanted)


def _code(problems: list[Problem]) -> str:
    return _CODES.get(problems[0].rule, "PropertyConstraintViolation")


def _described(problems: list[Problem]) -> str:
    return "; ".join(str(problem) for problem in problems[:5])
