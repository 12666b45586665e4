"""Hostile frames for a station's line, and what must hold whatever they are.

Frames come from the messages' schemas, valid and broken, from other versions, from what was sent before; then values
are swapped for odd ones, keys doubled, text cut, repeated and mixed up. The line is the real one, from frame to
handler; behind it stands a store that only judges whether it could keep what it is given.

The same seed makes the same frames, but for the ids of our own calls, which are random on purpose.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

import orjson

from csms.ocpp.connection import Answered, Connection, Errored, NoAnswer, Note, NotSent, Reply, nobody
from csms.ocpp.dialect import StationContext
from csms.ocpp.message import Asked
from csms.ocpp.options import OcppOptions
from csms.ocpp.schemas import actions, request_problems, response_problems
from csms.ocpp.station_port import refused
from csms.ocpp.versions import DIALECTS
from csms.stations.frame_log import FrameLog
from csms.stations.nouns import keepers
from sessions import codec, facts
from sessions.clock import ManualClock
from sessions.directory import Admission, Inbox, Outcome, StationDirectory
from sessions.directory_sql import SqlDirectory
from sessions.facts import TokenStatus
from sessions.service import Service
from sessions.session import Policy
from storage.engine import create_engine
from tests.wire.inbox import MemoryDirectory
from tests.wire.schema_payloads import Case, table

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
#: A flood is not what is tried here; a line that only carries garbage is closed, and the station comes back.
OPTIONS = OcppOptions(burst=10**9, messages_per_s=1e9, call_timeout_s=3600)
REMEMBERED = 200
ACCEPTED, HELD = "FUZZ-ACCEPTED", "FUZZ-HELD"
STATIONS = {ACCEPTED: Admission.ACCEPTED, HELD: Admission.HELD}

#: Put where another value was; as text, since what is put there may be changed again.
ODD = tuple(
    map(
        json.dumps,
        [
            *[None, True, False, 0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64 - 1, 0.1, -0.5],
            *[1e15, 1e308, -1e308, 5e-324, "", " ", "\0", "a\0b", "x" * 300, "x" * 20_000, "\U0001d54f" * 40],
            *["\u202eabc", "\ufeff", "e\u0301", "\x7f\x1b[2J", "NaN", "Infinity", "1e5", "1e999999999", "-1", "1_000"],
            *["\u0663", "0x10", "null", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999999+23:59", "2026-W48-1"],
            *[
                "0001-01-01T00:00:00+23:59",
                "kWh",
                "Wh",
                "SignedData",
                "Started",
                "Ended",
                "Accepted",
                "{{7*7}}",
                "%s%n",
            ],
            *[
                "'; drop table stations; --",
                [],
                [[]],
                [None],
                {},
                {"": {}},
                {"a": [{"b": None}]},
                [{}] * 50,
                [0] * 3000,
            ],
            {str(number): number for number in range(300)},
        ],
    )
)
#: Written into the text where no JSON library would put them.
ODD_TEXT = (
    *("\\ud800", "\\udfff\\ud800", "\\u0000", "\0", "\ufeff", "\x85", "\\", '"', "1" * 400, "-", "1e999", "0" * 30),
    *("NaN", "[" * 40, "]" * 40, '{"a":' * 40, "[" * 2000, '"a":1,"a":2,', ",", ":", "{}", "[]", "null", "\\u00", "\n"),
)


class Found(AssertionError):
    """A frame that did what none may."""


class JudgingInbox:
    """Judges whether a fact could be kept, and hands it on to ``behind``; without one, nothing is kept."""

    def __init__(self, behind: Inbox | None = None) -> None:
        self.committed: Counter[str] = Counter()
        self._behind = behind

    async def submit(self, fact: facts.Fact) -> Outcome:
        """Judge a fact; its outcome. Starts without an id get one."""
        codec.encode(fact).encode()
        for name in _columns(cast(Hashable, type(fact))):
            value = getattr(fact, name)
            if isinstance(value, str) and "\0" in value:
                raise Found(f"{type(fact).__name__}.{name} has a NUL")
            if isinstance(value, int) and not -(2**31) <= value < 2**31:
                raise Found(f"{type(fact).__name__}.{name} has more than 32 bits")
        self.committed[type(fact).__name__] += 1
        if self._behind is not None:
            return await self._behind.submit(fact)
        count = self.committed.total() % 2**31
        transaction_id = getattr(fact, "transaction_id", None)
        return Outcome(transaction_id=transaction_id or str(count), token_status=TokenStatus.ACCEPTED)


@cache
def _columns(kind: Any) -> tuple[str, ...]:
    """What becomes a column; the payload as it came is kept as JSON text."""
    return tuple(column.name for column in fields(kind) if column.name not in {"payload", "raw"})


@dataclass
class Tally:
    """What came of how many frames."""

    frames: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    blocks: list[int] = field(default_factory=list)

    def weigh(self) -> None:
        """Note how many blocks of memory the interpreter holds."""
        gc.collect()
        self.blocks.append(sys.getallocatedblocks())


class Line:
    """A connection, what it sent last, and a call of ours that waits for its answer."""

    def __init__(self, version: str, number: int, held: bool, inbox: Inbox, behind: Behind) -> None:
        self.version = version
        self.sent: list[str] = []
        self.hung_up = False
        self.call: asyncio.Task[Reply] | None = None
        self.call_id = ""
        self.action = ""
        self.request: dict[str, Any] = {}
        ctx = StationContext(
            station_id=HELD if held else ACCEPTED,
            version=version,
            inbox=inbox,
            directory=behind.directory,
            now=lambda: NOW,
            held=held,
            heartbeat_interval_s=300,
            held_retry_s=60,
            connection_nonce=str(number),
        )
        self.connection = Connection(ctx, DIALECTS[version], OPTIONS, self._send, self._close, behind.note)

    async def _send(self, text: str) -> None:
        self.sent.append(text)

    async def _close(self, code: int, reason: str) -> None:
        self.hung_up = True

    async def ask(self, action: str, payload: dict[str, Any]) -> None:
        """Send a call of ours; its answer is left to the frames that follow."""
        self.call = asyncio.create_task(self.connection.call(action, payload))
        self.action, self.request = action, payload
        await _settled()
        if len(self.sent) != 1:
            raise Found(f"{action}: {len(self.sent)} frames went out for one call")
        self.call_id = orjson.loads(self.sent.pop())[1]

    async def hang_up(self) -> None:
        """Whoever waits hears that the line is gone."""
        self.connection.close()
        await _settled()
        if self.call is not None and not isinstance(self.call.result(), NoAnswer | NotSent):
            raise Found(f"{self.action}: {self.call.result()} from a line that is gone")


def _directory() -> StationDirectory:
    directory = MemoryDirectory()
    for station_id, admission in STATIONS.items():
        directory.add(station_id, admission=admission)
    return directory


@dataclass(frozen=True)
class Behind:
    """What stands behind the lines; by default nothing that keeps anything."""

    inbox: Inbox | None = None
    directory: StationDirectory = field(default_factory=_directory)
    note: Note = nobody


@asynccontextmanager
async def stored(database_url: str) -> AsyncIterator[Behind]:
    """A running service with its keepers, and the frame log, on a migrated database with `STATIONS` on file."""
    engine, clock = create_engine(database_url), ManualClock(NOW)
    directory = SqlDirectory(engine, clock)
    service = Service(
        engine, clock, Policy(), node="a", issuer_id="I1", public_url="https://pay.example.org", keepers=keepers()
    )
    frame_log = FrameLog(engine, clock.now, enabled=True, keep=timedelta(days=1))
    await service.start()
    await frame_log.start()
    try:
        for station_id, admission in STATIONS.items():
            await directory.register_station(station_id, admission, None)
        with _no_exception_logged() as logged:
            yield Behind(service, directory, frame_log.note)
            await frame_log.flush()
        if logged:
            raise Found(f"logged: {logged}")
    finally:
        await frame_log.stop()
        await service.stop()
        await engine.dispose()


class Fuzzer:
    """Frames from a seed, for two lines of every version. `run` raises `Found`."""

    def __init__(self, seed: int, behind: Behind | None = None) -> None:
        self.seed = seed
        self.tally = Tally()
        self._random = random.Random(seed)
        self._behind = behind or Behind()
        self._inbox = JudgingInbox(self._behind.inbox)
        self._before: deque[str] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._lines = [self._line(version) for version in DIALECTS for _ in range(2)]
        self._actions = {version: sorted(actions(version)) for version in DIALECTS}
        self._sources = (self._from_schema, self._odd_value, self._odd_text, self._replay, self._answer, self._foreign)

    def _line(self, version: str) -> Line:
        self._number += 1
        return Line(version, self._number, self._random.random() < 0.05, self._inbox, self._behind)

    async def run(self, frames: int) -> None:
        """Send this many more frames. Raises `Found` with the frame and its number."""
        with _no_exception_logged() as logged:
            for _ in range(frames):
                place = self._random.randrange(len(self._lines))
                line = self._lines[place]
                self.tally.frames += 1
                raw = await self._next(line)
                try:
                    await self._send(line, raw)
                    if logged:
                        raise Found("only in the log")
                except Exception as found:
                    shown = repr(raw)
                    raise Found(
                        f"seed {self.seed}, frame {self.tally.frames}, {line.version}: {type(found).__name__}: {found}"
                        f"\nlogged: {logged}\n{shown if len(shown) < 4000 else shown[:2000] + ' … ' + shown[-2000:]}"
                    ) from found
                if line.hung_up or self._random.random() < 0.0005:
                    await line.hang_up()
                    self.tally.outcomes["lines closed"] += 1
                    self._lines[place] = self._line(line.version)

    async def close(self) -> None:
        """Hang up everywhere."""
        for line in self._lines:
            await line.hang_up()

    async def _next(self, line: Line) -> str | bytes:
        if line.call is None and self._random.random() < 0.2:
            action, case = self._case(line.version, action=self._random.choice(sorted(DIALECTS[line.version].asks)))
            if not request_problems(line.version, action, case.payload):
                await line.ask(action, case.payload)
        source = self._random.choices(self._sources, (30, 25, 15, 5, 15, 10))[0]
        text = source(line)
        self._before.append(text)
        return text.encode("utf-8", "surrogatepass") if self._random.random() < 0.005 else text

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _message_id(self, line: Line) -> str:
        ids = (
            f"m{self.tally.frames}",
            f"m{self.tally.frames}",
            "m1",
            "-1",
            line.call_id or "m2",
            "\U0001f50c" * 36,
            "m\0",
        )
        return self._random.choice(ids)

    def _case(self, version: str, direction: str = "request", action: str = "") -> tuple[str, Case]:
        action = action or self._random.choice(self._actions[version])
        return action, self._random.choice(table(version, action, direction))

    def _call(self, line: Line) -> list[Any]:
        handled = self._random.random() < 0.8
        action = self._random.choice(sorted(DIALECTS[line.version].answers)) if handled else ""
        action, case = self._case(line.version, action=action)
        return [2, self._message_id(line), action, case.payload]

    def _reply(self, line: Line) -> list[Any]:
        message_id = line.call_id if self._random.random() < 0.9 else self._message_id(line)
        if self._random.random() < 0.2:
            code = self._random.choice(("NotSupported", "GenericError", "NoSuchCode", "x" * 300))
            return [4, message_id, code, "why" * self._random.randrange(200), {}]
        _, case = self._case(line.version, "response", line.action if self._random.random() < 0.8 else "")
        return [3, message_id, case.payload]

    def _from_schema(self, line: Line) -> str:
        return _text(self._call(line))

    def _answer(self, line: Line) -> str:
        return _text(self._reply(line) if line.call is not None else self._call(line))

    def _foreign(self, line: Line) -> str:
        """Another version's message, or the payload of another action."""
        action, case = self._case(self._random.choice(list(DIALECTS)))
        other = self._random.choice(self._actions[line.version])
        return _text([2, self._message_id(line), self._random.choice((action, other)), case.payload])

    def _replay(self, line: Line) -> str:
        return self._random.choice(self._before) if self._before else self._from_schema(line)

    def _frame(self, line: Line) -> list[Any]:
        answers = line.call is not None and self._random.random() < 0.3
        return self._reply(line) if answers else self._call(line)

    def _odd_value(self, line: Line) -> str:
        """A frame with values taken out, or swapped for odd ones; now and then its head too."""
        frame = json.loads(_text(self._frame(line)))
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            if self._random.random() < 0.15:
                frame[self._random.randrange(len(frame))] = self._random.choice((*range(-1, 9), self._odd()))
            elif self._random.random() < 0.05:
                frame = frame[: self._random.randrange(len(frame))] or [*frame, self._odd()]
            else:
                self._swap(frame[-1])
        return _text(frame)

    def _odd(self) -> Any:
        return json.loads(self._random.choice(ODD))

    def _swap(self, value: Any) -> None:
        """Change one place somewhere inside of ``value``."""
        while isinstance(value, dict | list) and value:
            key = self._random.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
            inside = value[key]
            if isinstance(inside, dict | list) and inside and self._random.random() < 0.8:
                value = inside
            elif self._random.random() < 0.15:
                del value[key]
                return
            else:
                value[key] = self._random.choice((*[self._odd()] * 20, [inside], {"a": inside}, f" {inside} "))
                return

    def _odd_text(self, line: Line) -> str:
        """The text of a frame cut, repeated, mixed up; or with something in it that is no JSON."""
        text = _text(self._frame(line))[:5000]
        for _ in range(self._random.choice((1, 1, 2, 4))):
            start = self._random.randrange(len(text) + 1)
            end = min(len(text), start + self._random.choice((0, 0, 1, 1, 2, 8, 50)))
            put = self._random.choice(("", chr(self._random.randrange(0xD800)), text[start:end] * 2, *ODD_TEXT))
            text = text[:start] + put + text[end:]
        return text

    # --- what must hold -----------------------------------------------------------------------------------------------

    async def _send(self, line: Line, raw: str | bytes) -> None:
        begun = time.perf_counter()
        await line.connection.receive(raw)
        spent = time.perf_counter() - begun
        if spent > self.tally.slowest_s:
            self.tally.slowest_s, self.tally.slowest = spent, repr(raw[:200])
        await _settled()
        sent, line.sent = line.sent, []
        frame = _readable(raw)
        self._judge_sent(line, frame, [orjson.loads(text) for text in sent])
        await self._judge_call(line, frame)

    def _judge_sent(self, line: Line, frame: list[Any] | None, sent: list[Any]) -> None:
        """A call with a readable id is answered exactly once, with its id; anything else at most once."""
        outcome = "silence"
        for answer in sent:
            if answer[0] == 3 and frame is not None and frame[0] == 2:
                problems = response_problems(line.version, frame[2], answer[2])
                if problems:
                    raise Found(f"an answer that is not valid: {problems}")
                outcome = "answered"
            elif answer[0] == 4 and len(answer) == 5:
                outcome = str(answer[2])
            else:
                raise Found(f"no answer to this: {answer}")
        if len(sent) > 1 or (not sent and frame is not None and frame[0] == 2):
            raise Found(f"answered {len(sent)} times: {sent}")
        if sent and frame is not None and sent[0][1] not in (frame[1], *(["-1"] if frame[0] != 2 else [])):
            raise Found(f"answered with the id {sent[0][1]!r}")
        if outcome == "InternalError":
            raise Found("an internal error")
        self.tally.outcomes[outcome] += 1

    async def _judge_call(self, line: Line, frame: list[Any] | None) -> None:
        """Our call ends with its answer and with nothing else."""
        if line.call is None:
            return
        kind, message_id, content = frame[:3] if frame is not None else (None, None, None)
        answered = message_id == line.call_id and kind == 3 and isinstance(content, dict)
        refused = message_id == line.call_id and kind == 4
        if line.call.done() is not (answered or refused):
            raise Found(f"our {line.action} is {'over' if line.call.done() else 'still waiting'}")
        if line.call.done():
            reply = line.call.result()
            if not isinstance(reply, Answered if answered else Errored):
                raise Found(f"our {line.action} ended with {reply}")
            if isinstance(reply, Answered):
                await self._learn(line, reply.payload)
            self.tally.outcomes[f"our call: {type(reply).__name__}"] += 1
            line.call, line.call_id = None, ""

    async def _learn(self, line: Line, response: dict[str, Any]) -> None:
        """What is made of an answer to our call; any object may be one."""
        refused(response)
        ask = DIALECTS[line.version].asks.get(line.action)
        if ask is None or ask.learn is None:
            return
        asked = Asked(
            station_id=line.connection.ctx.station_id,
            version=line.version,
            action=line.action,
            request=line.request,
            response=response,
            now=NOW,
            command_id=line.call_id,
        )
        for fact in ask.learn(asked):
            await self._inbox.submit(fact)


def _text(frame: list[Any]) -> str:
    return json.dumps(frame, ensure_ascii=False)


def _readable(raw: str | bytes) -> list[Any] | None:
    """The frame in what was sent, if it is one whose id can be read: written anew here, not asked of `frames`."""
    if isinstance(raw, bytes):
        return None
    try:
        frame = orjson.loads(raw)
    except ValueError:
        return None
    if not isinstance(frame, list) or len(frame) < 3 or type(frame[0]) is not int:
        return None
    return frame if isinstance(frame[1], str) and 0 < len(frame[1]) <= 36 else None


async def _settled() -> None:
    """Let what was woken run."""
    for _ in range(3):
        await asyncio.sleep(0)


@contextmanager
def _no_exception_logged() -> Iterator[list[str]]:
    """Collects what is logged as an error: an exception that was caught is one that was not handled."""
    logged: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(
                f"{record.getMessage()} {logging.Formatter().formatException(record.exc_info or (None,) * 3)}"
            )

    handler = Collect(logging.ERROR)
    rooms = [logging.getLogger(name) for name in ("csms", "sessions", "storage")]
    for room in rooms:
        room.addHandler(handler)
    try:
        yield logged
    finally:
        for room in rooms:
            room.removeHandler(handler)
